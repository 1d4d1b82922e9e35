//! The role's life: built from its ports, mounted on a server, run until told to stop.

use std::sync::Arc;
use std::time::Duration;

use nautilus_catalog::Catalog;
use nautilus_identity::{Authenticator, TokenKey};
use nautilus_mutation_log::MutationLog;
use nautilus_proto::admin::v1::catalog_service_server::CatalogServiceServer;
use nautilus_proto::ingest::v1::ingest_service_server::IngestServiceServer;
use nautilus_service::server::GrpcServer;
use nautilus_service::{CancellationToken, Clock};
use nautilus_types::PartitionMap;

use crate::Config;
use crate::accounts::Accounts;
use crate::caller::Callers;
use crate::deletions::Deletions;
use crate::grpc::{CatalogGrpc, IngestGrpc};
use crate::in_flight::InFlight;
use crate::ingest::Ingest;

/// The ingest gateway with the accounts beside it.
pub struct IndexBuilder {
    callers: Arc<Callers>,
    ingest: Arc<Ingest>,
    accounts: Arc<Accounts>,
    deletions: Arc<Deletions>,
    deletion_interval: Duration,
}

impl IndexBuilder {
    /// Puts the role together. Partitions are those of `log`; `token_key` seals consistency and page
    /// tokens, and searches open the former with the same key.
    #[must_use]
    pub fn build(
        config: Config,
        catalog: Arc<dyn Catalog>,
        log: Arc<dyn MutationLog>,
        authenticator: Arc<dyn Authenticator>,
        token_key: Arc<TokenKey>,
        clock: Clock,
    ) -> Self {
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
        let ingest = Ingest { catalog, log, map, token_key, in_flight, clock };
        Self {
            callers: Arc::new(callers),
            ingest: Arc::new(ingest),
            accounts: Arc::new(accounts),
            deletions,
            deletion_interval: config.deletion_interval,
        }
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

    /// Does what no request does, until `stop`: brings deleted namespaces into the log, first of all
    /// those that an earlier life left. Writes end with the server that carries them; there is
    /// nothing else to drain.
    pub async fn run(&self, stop: CancellationToken) {
        self.deletions.run(self.deletion_interval, stop).await;
    }
}
