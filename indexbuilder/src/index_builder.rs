//! The role's life: built from its ports, mounted on a server, run until told to stop.

use std::sync::Arc;
use std::time::Duration;

use nautilus_annotate::Annotator;
use nautilus_catalog::Catalog;
use nautilus_identity::{Authenticator, TokenKey};
use nautilus_mutation_log::MutationLog;
use nautilus_proto::admin::v1::catalog_service_server::CatalogServiceServer;
use nautilus_proto::ingest::v1::ingest_service_server::IngestServiceServer;
use nautilus_service::server::GrpcServer;
use nautilus_service::{CancellationToken, Clock};
use nautilus_types::PartitionMap;
use prometheus_client::registry::Registry;
use tonic::transport::Channel;

use crate::accounts::Accounts;
use crate::annotating::Annotators;
use crate::caller::Callers;
use crate::deletions::Deletions;
use crate::grpc::{CatalogGrpc, IngestGrpc};
use crate::in_flight::InFlight;
use crate::ingest::Ingest;
use crate::metrics::Metrics;
use crate::pressure::{LagBounds, Pressure};
use crate::replicas;
use crate::{Config, IndexBuilderError};

/// The root sends news whenever something changes, and a sign of life at least every second.
const NEWS_AGE_MAX: Duration = Duration::from_secs(5);

/// What an index builder is given.
pub struct Parts {
    /// Who may write what.
    pub catalog: Arc<dyn Catalog>,
    /// Where writes go.
    pub log: Arc<dyn MutationLog>,
    /// Who is asking.
    pub authenticator: Arc<dyn Authenticator>,
    /// Seals consistency and page tokens; searches open the former with the same key.
    pub token_key: Arc<TokenKey>,
    /// Connections to roots, of which one at a time says how far the replicas are; without any nothing is held back.
    pub roots: Vec<Channel>,
    /// The application's own, run after those of the configuration.
    pub annotators: Vec<Arc<dyn Annotator>>,
}

/// The ingest gateway with the accounts beside it.
pub struct IndexBuilder {
    callers: Arc<Callers>,
    ingest: Arc<Ingest>,
    accounts: Arc<Accounts>,
    deletions: Arc<Deletions>,
    deletion_interval: Duration,
    pressure: Arc<Pressure>,
    roots: Vec<Channel>,
    clock: Clock,
}

impl IndexBuilder {
    /// Puts the role together. Partitions are those of the log. Fails where annotators cannot be told apart by their
    /// names.
    pub fn build(config: Config, parts: Parts, clock: Clock) -> Result<Self, IndexBuilderError> {
        let Parts { catalog, log, authenticator, token_key, roots, annotators } = parts;
        let metrics = Metrics::new();
        let annotators = Annotators::new(&config.annotators, annotators, &metrics, clock.clone())?;
        let map = PartitionMap::divided(log.identity().partitions);
        let deletions =
            Arc::new(Deletions::new(Arc::clone(&catalog), Arc::clone(&log), map, clock.clone()));
        let callers =
            Callers { authenticator, catalog: Arc::clone(&catalog), clock: clock.clone() };
        let accounts = Accounts {
            catalog: Arc::clone(&catalog),
            deletions: Arc::clone(&deletions),
            token_key: Arc::clone(&token_key),
            clock: clock.clone(),
        };
        let in_flight = InFlight::new(config.in_flight_bytes_max);
        let pressure = Arc::new(Pressure::new(LagBounds {
            records_max: config.lag_records_max,
            age_max: config.lag_age_max,
            news_age_max: NEWS_AGE_MAX,
        }));
        let ingest = Ingest {
            catalog,
            log,
            map,
            token_key,
            in_flight,
            pressure: Arc::clone(&pressure),
            annotators,
            metrics,
            clock: clock.clone(),
        };
        Ok(Self {
            callers: Arc::new(callers),
            ingest: Arc::new(ingest),
            accounts: Arc::new(accounts),
            deletions,
            deletion_interval: config.deletion_interval,
            pressure,
            roots,
            clock,
        })
    }

    /// The write API, ready for a server.
    #[must_use]
    pub fn ingest_service(&self) -> IngestServiceServer<IngestGrpc> {
        IngestGrpc::server(Arc::clone(&self.callers), Arc::clone(&self.ingest))
    }

    /// The API of accounts, ready for a server.
    #[must_use]
    pub fn catalog_service(&self) -> CatalogServiceServer<CatalogGrpc> {
        CatalogGrpc::server(Arc::clone(&self.callers), Arc::clone(&self.accounts))
    }

    /// Adds both services to a server.
    #[must_use]
    pub fn mount(&self, server: GrpcServer) -> GrpcServer {
        server.service(self.ingest_service()).service(self.catalog_service())
    }

    /// Adds this role's metrics to those of the process.
    pub fn register_metrics(&self, registry: &mut Registry) {
        self.ingest.metrics.register(registry);
    }

    /// Does what no request does, until `stop`: brings deleted namespaces into the log, first of all
    /// those that an earlier life left; follows the replicas. Writes end with the server that carries them; there is
    /// nothing else to drain.
    pub async fn run(&self, stop: CancellationToken) {
        let deletions = self.deletions.run(self.deletion_interval, stop.clone());
        let replicas = async {
            let (pressure, clock) = (Arc::clone(&self.pressure), self.clock.clone());
            replicas::follow(self.roots.clone(), pressure, clock, stop).await;
        };
        tokio::join!(deletions, replicas);
    }
}
