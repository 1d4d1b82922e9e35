//! One partition: its database, its identity, its durable offset.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nautilus_analysis::{ANALYZER_VERSION_MAX, Analyzer};
use nautilus_types::{LogGeneration, Offset, PartitionId};
use rocksdb::{DB, Range};

use crate::apply::Writer;
use crate::columns::{LengthColumns, PartitionColumns};
use crate::document_ids::{DocumentIds, PartitionIds};
use crate::error::{EngineError, identity_text};
use crate::keys::{self, Kind};
use crate::labels::Labels;
use crate::mutation::Attributes;
use crate::namespaces::Totals;
use crate::postings::{Buffers, drain};
use crate::read::Searcher;
use crate::rebuild;
use crate::resources::Resources;

/// Version of the layout of keys and values. What is older is brought to it when opened, if need be from its stored
/// fields.
pub const FORMAT_VERSION: u32 = 3;
/// Its rows are as they are now; there are no redo rows.
const FORMAT_WITHOUT_REDO: u32 = 2;

/// Which partition of which cluster's log a folder holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionIdentity {
    /// 16 random bytes made with the cluster.
    pub cluster_id: [u8; 16],
    /// Offsets of another generation mean something else.
    pub log_generation: LogGeneration,
    /// Which partition.
    pub partition: PartitionId,
}

/// Sizes, for people and dashboards.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartitionStatistics {
    /// Live namespaces.
    pub namespaces: u64,
    /// Live documents.
    pub documents: u64,
    /// Bytes of all table files.
    pub disk_bytes: u64,
    /// Approximate bytes on disk by kind of row.
    pub row_bytes: Vec<(&'static str, u64)>,
}

pub(crate) const META_FORMAT: &str = "format";
pub(crate) const META_ANALYZER: &str = "analyzer";
pub(crate) const META_IDENTITY: &str = "identity";
pub(crate) const META_APPLIED: &str = "applied";
pub(crate) const META_NEXT_NUMBER: &str = "next-namespace-number";
pub(crate) const META_TOTALS: &str = "totals";
pub(crate) const META_BUILD: &str = "build";

/// What writer and searchers share.
pub(crate) struct Shared {
    pub(crate) db: DB,
    pub(crate) analyzer: Analyzer,
    pub(crate) durable: AtomicU64,
    pub(crate) dir: PathBuf,
    pub(crate) labels: Labels,
    pub(crate) lengths: PartitionColumns,
    pub(crate) document_ids: PartitionIds,
    pub(crate) buffers: Buffers,
    /// Of the files that buffers are written to.
    pub(crate) list_options: rocksdb::Options,
}

/// A partition open for searching. Any number of threads may use it at once.
#[derive(Clone)]
pub struct Partition {
    pub(crate) shared: Arc<Shared>,
}

impl Partition {
    /// Opens or creates the partition in `dir` with the analyzer it has, version 1 if it is new, and returns its only
    /// writer beside it.
    ///
    /// A folder of an older format is first rebuilt from its stored fields, which takes about as long as feeding it; an
    /// interrupted rebuild starts over, and the old folder stays until the new one is whole.
    /// Format 1 kept no attributes: `attributes_of` reads them from a document's metadata.
    pub fn open(
        dir: &Path,
        identity: &PartitionIdentity,
        resources: &Resources,
        attributes_of: fn(&[u8]) -> Attributes,
    ) -> Result<(Self, Writer), EngineError> {
        Self::open_as(dir, identity, None, resources, attributes_of)
    }

    /// As [`Self::open`], with this analyzer: a folder of another one is rebuilt too.
    pub fn open_with(
        dir: &Path,
        identity: &PartitionIdentity,
        analyzer: Analyzer,
        resources: &Resources,
        attributes_of: fn(&[u8]) -> Attributes,
    ) -> Result<(Self, Writer), EngineError> {
        Self::open_as(dir, identity, Some(analyzer), resources, attributes_of)
    }

    fn open_as(
        dir: &Path,
        identity: &PartitionIdentity,
        wanted: Option<Analyzer>,
        resources: &Resources,
        attributes_of: fn(&[u8]) -> Attributes,
    ) -> Result<(Self, Writer), EngineError> {
        rebuild::finish_interrupted(dir)?;
        let shared = Shared::open(dir, identity, wanted.unwrap_or_default(), resources)?;
        let (format, analyzer) = shared.versions()?;
        if format > FORMAT_VERSION || analyzer > ANALYZER_VERSION_MAX {
            return Err(EngineError::NewerFormat {
                found: format.max(analyzer),
                supported: FORMAT_VERSION.max(ANALYZER_VERSION_MAX),
            });
        }
        // Those of an unknown older one were opened with the first there is.
        let wanted = wanted.unwrap_or(shared.analyzer);
        let shared = if format < FORMAT_WITHOUT_REDO || analyzer != wanted.version() {
            let old = rebuild::Old { shared, format, attributes_of };
            rebuild::rebuild(old, identity, wanted, resources)?
        } else {
            shared
        };
        if format == FORMAT_WITHOUT_REDO {
            shared.stamp()?;
        }
        let shared = Arc::new(shared);
        let writer = Writer::new(Arc::clone(&shared))?;
        Ok((Self { shared }, writer))
    }

    /// A view of one moment: everything it returns belongs to the offset it is labelled with.
    #[must_use]
    pub fn searcher(&self) -> Searcher<'_> {
        Searcher::new(&self.shared)
    }

    /// What its tokens are made by.
    #[must_use]
    pub fn analyzer(&self) -> Analyzer {
        self.shared.analyzer
    }

    /// The build that its files descend from; empty = fed from the log alone.
    pub fn build(&self) -> Result<String, EngineError> {
        build_of(&self.shared.db)
    }

    /// Writes down which build its files descend from, on disk when this returns. Checkpoints carry it.
    pub fn set_build(&self, build: &str) -> Result<(), EngineError> {
        if self.build()? == build {
            return Ok(());
        }
        let mut batch = rocksdb::WriteBatch::default();
        batch.put(keys::meta(META_BUILD), build);
        self.shared.write(batch)?;
        self.shared.flush()?;
        Ok(())
    }

    /// The build that the files of a folder nobody has open descend from; `None` where there is no partition in it.
    pub fn build_of_folder(dir: &Path) -> Result<Option<String>, EngineError> {
        rebuild::finish_interrupted(dir)?;
        // Named last when a database is made.
        if !dir.join("CURRENT").exists() {
            return Ok(None);
        }
        let db = DB::open_for_read_only(&rocksdb::Options::default(), dir, false)
            .map_err(|source| EngineError::Storage { operation: "open", source })?;
        build_of(&db).map(Some)
    }

    /// The next offset after everything that is on this disk.
    #[must_use]
    pub fn durable_offset(&self) -> Offset {
        Offset(self.shared.durable.load(Ordering::Acquire))
    }

    /// Writes everything applied so far to disk, synced, and returns the durable offset.
    pub fn flush(&self) -> Result<Offset, EngineError> {
        self.shared.flush()
    }

    /// Sizes of the moment.
    pub fn statistics(&self) -> Result<PartitionStatistics, EngineError> {
        let property = |name: &str| -> Result<u64, EngineError> {
            Ok(self.shared.db.property_int_value(name).map_err(EngineError::read)?.unwrap_or(0))
        };
        let disk_bytes = property("rocksdb.total-sst-files-size")?;
        let bounds: Vec<([u8; 1], [u8; 1])> =
            Kind::NAMED.iter().map(|(kind, _)| ([*kind as u8], [*kind as u8 + 1])).collect();
        let ranges: Vec<Range<'_>> =
            bounds.iter().map(|(start, end)| Range::new(start, end)).collect();
        let sizes = self.shared.db.get_approximate_sizes(&ranges);
        let row_bytes = Kind::NAMED.iter().map(|(_, name)| *name).zip(sizes).collect();
        let Totals { namespaces, documents } = Totals::read(&self.shared.db)?;
        Ok(PartitionStatistics { namespaces, documents, disk_bytes, row_bytes })
    }

    /// Writes changed postings to table files, then rewrites every one of those: settles sizes before they are
    /// measured.
    pub fn compact(&self) -> Result<(), EngineError> {
        self.write_lists()?;
        self.shared.db.compact_range(None::<&[u8]>, None::<&[u8]>);
        Ok(())
    }

    /// Writes the changes of postings that are in memory to table files, as happens by itself when there are many.
    pub fn write_lists(&self) -> Result<(), EngineError> {
        drain::all(&self.shared)
    }
}

impl Shared {
    /// Of a database that is open, with the analyzer it has; a new one is `fresh`.
    pub(crate) fn of(
        db: DB,
        dir: &Path,
        fresh: Analyzer,
        resources: &Resources,
    ) -> Result<Self, EngineError> {
        let analyzer = match stored_version(&db, META_ANALYZER)? {
            Some(version) => Analyzer::of(version).unwrap_or_default(),
            None => fresh,
        };
        let applied = meta_offset(&db, META_APPLIED)?;
        let buffers = Buffers::load(&db, applied, &resources.buffers)?;
        Ok(Self {
            db,
            analyzer,
            durable: AtomicU64::new(0),
            dir: dir.to_owned(),
            labels: Labels::new(),
            lengths: LengthColumns::partition(&resources.lengths),
            document_ids: DocumentIds::partition(&resources.document_ids),
            buffers,
            list_options: drain::options(resources),
        })
    }

    /// Opens a folder with the analyzer it has, a new one with `fresh`.
    pub(crate) fn open(
        dir: &Path,
        identity: &PartitionIdentity,
        fresh: Analyzer,
        resources: &Resources,
    ) -> Result<Self, EngineError> {
        std::fs::create_dir_all(dir).map_err(|source| EngineError::Folder {
            operation: "create",
            path: dir.to_owned(),
            source,
        })?;
        drain::remove_leftovers(dir)?;
        let db = DB::open(&resources.options(), dir)
            .map_err(|source| EngineError::Storage { operation: "open", source })?;
        let shared = Self::of(db, dir, fresh, resources)?;
        shared.check_identity(identity)?;
        shared.durable.store(shared.applied()?.0, Ordering::Release);
        Ok(shared)
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The next offset to apply, as stored.
    pub(crate) fn applied(&self) -> Result<Offset, EngineError> {
        meta_offset(&self.db, META_APPLIED)
    }

    pub(crate) fn flush(&self) -> Result<Offset, EngineError> {
        let applied = self.applied()?;
        self.db.flush().map_err(|source| EngineError::Storage { operation: "flush", source })?;
        self.became_durable(applied);
        Ok(applied)
    }

    /// Everything below the offset is on disk.
    pub(crate) fn became_durable(&self, next_offset: Offset) {
        self.durable.fetch_max(next_offset.0, Ordering::AcqRel);
    }

    pub(crate) fn meta_u64(&self, name: &str) -> Result<Option<u64>, EngineError> {
        meta_u64(&self.db, name)
    }

    /// From now on programs that do not know this format refuse the folder.
    fn stamp(&self) -> Result<(), EngineError> {
        let mut batch = rocksdb::WriteBatch::default();
        batch.put(keys::meta(META_FORMAT), u64::from(FORMAT_VERSION).to_be_bytes());
        self.write(batch)?;
        self.flush()?;
        Ok(())
    }

    /// Format and analyzer version the rows were written with.
    fn versions(&self) -> Result<(u32, u32), EngineError> {
        let version = |name| Ok(stored_version(&self.db, name)?.unwrap_or(0));
        version(META_FORMAT).and_then(|format| Ok((format, version(META_ANALYZER)?)))
    }

    /// Stamps an empty folder; refuses one that belongs elsewhere.
    fn check_identity(&self, identity: &PartitionIdentity) -> Result<(), EngineError> {
        let mut expected = identity.cluster_id.to_vec();
        expected.extend_from_slice(&identity.log_generation.0.to_be_bytes());
        expected.extend_from_slice(&identity.partition.0.to_be_bytes());
        match self.db.get(keys::meta(META_IDENTITY)).map_err(EngineError::read)? {
            None => {
                let mut batch = rocksdb::WriteBatch::default();
                batch.put(keys::meta(META_IDENTITY), &expected);
                batch.put(keys::meta(META_FORMAT), u64::from(FORMAT_VERSION).to_be_bytes());
                let analyzer = u64::from(self.analyzer.version());
                batch.put(keys::meta(META_ANALYZER), analyzer.to_be_bytes());
                self.write(batch)?;
                self.flush()?;
                Ok(())
            }
            Some(found) if found == expected => Ok(()),
            Some(found) => Err(EngineError::OtherIdentity {
                found: describe_identity(&found),
                expected: identity_text(
                    identity.cluster_id,
                    identity.log_generation,
                    identity.partition.0,
                ),
            }),
        }
    }

    pub(crate) fn write(&self, batch: rocksdb::WriteBatch) -> Result<(), EngineError> {
        self.db
            .write_opt(batch, &Resources::write_options())
            .map_err(|source| EngineError::Storage { operation: "write", source })
    }
}

fn stored_version(db: &DB, name: &str) -> Result<Option<u32>, EngineError> {
    Ok(meta_u64(db, name)?.map(|stored| u32::try_from(stored).unwrap_or(u32::MAX)))
}

fn meta_u64(db: &DB, name: &str) -> Result<Option<u64>, EngineError> {
    let Some(bytes) = db.get(keys::meta(name)).map_err(EngineError::read)? else {
        return Ok(None);
    };
    let bytes: [u8; 8] =
        bytes.as_slice().try_into().map_err(|_| crate::rows::Malformed { row: "meta" })?;
    Ok(Some(u64::from_be_bytes(bytes)))
}

fn build_of(db: &DB) -> Result<String, EngineError> {
    let bytes = db.get(keys::meta(META_BUILD)).map_err(EngineError::read)?.unwrap_or_default();
    Ok(String::from_utf8(bytes).map_err(|_| crate::rows::Malformed { row: "meta" })?)
}

/// An offset among the meta rows; 0 where it was never written.
pub(crate) fn meta_offset(db: &DB, name: &str) -> Result<Offset, EngineError> {
    Ok(Offset(meta_u64(db, name)?.unwrap_or(0)))
}

fn describe_identity(bytes: &[u8]) -> String {
    let mut reader = bytes;
    let mut take = |n: usize| -> Option<&[u8]> {
        let (head, rest) = reader.split_at_checked(n)?;
        reader = rest;
        Some(head)
    };
    let parsed = (|| {
        let cluster = take(16)?.try_into().ok()?;
        let generation = u64::from_be_bytes(take(8)?.try_into().ok()?);
        let partition = u32::from_be_bytes(take(4)?.try_into().ok()?);
        Some(identity_text(cluster, LogGeneration(generation), partition))
    })();
    parsed.unwrap_or_else(|| "of an unreadable identity".to_owned())
}
