//! How fast a snapshot comes out of a bucket, beside a plain parallel copy of the same files by the same
//! client: `cargo run --release -p nautilus-index-repository --example download_rate -- [FILES MIB ROUNDS]`.
//! It starts the S3 server that `scripts/test-deps.sh` installs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::FuturesUnordered;
use futures::{StreamExt as _, TryStreamExt as _};
use nautilus_index_repository::{
    IndexRepository, Manifest, ObjectName, S3Config, S3Credentials, S3Repository, SlotRange,
    SnapshotDraft, Snapshots,
};
use nautilus_test_services::S3;
use nautilus_types::{Epoch, LogGeneration, Offset, PartitionId, SLOT_COUNT, Slot};
use object_store::ObjectStoreExt as _;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use tokio::io::AsyncWriteExt as _;

type Error = Box<dyn std::error::Error>;

const BUCKET: &str = "rates";
/// Files of the plain copy on their way at once.
const COPIES: usize = 8;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let mut numbers = std::env::args().skip(1).map(|argument| argument.parse::<usize>());
    let mut number = |default| numbers.next().unwrap_or(Ok(default));
    let (files, mib, rounds) = (number(20)?, number(15)?, number(5)?);
    let server = S3::start().map_err(|missing| missing.to_string())?;
    server.make_bucket(BUCKET);
    let dir = tempfile::tempdir()?;
    let local = dir.path().join("local");
    fill(&local, files, mib)?;
    let config = S3Config {
        endpoint: Some(server.endpoint()),
        credentials: S3Credentials::Fixed {
            key_id: S3::KEY_ID.to_owned(),
            secret_key: S3::SECRET_KEY.to_owned(),
            token: None,
        },
        ..S3Config::new(S3::REGION, BUCKET)
    };
    let repository = Arc::new(S3Repository::open(config).await?);
    let snapshots = Snapshots::new(repository.clone(), [7; 16]);
    let began = now();
    let manifest = snapshots.publish(draft(), &local, &|_| ()).await?;
    report("publish", &manifest, vec![began.elapsed()]);
    let client = client(&server)?;
    let objects = objects(&*repository).await?;
    let (mut plain, mut durable, mut ours) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        let into = |what: &str| dir.path().join(format!("{what}-{round}"));
        // In turns, each first once in a while.
        for turn in 0..3 {
            let began = now();
            match (turn + round) % 3 {
                0 => {
                    copy(&client, &objects, &into("plain"), false).await?;
                    plain.push(began.elapsed());
                }
                1 => {
                    copy(&client, &objects, &into("durable"), true).await?;
                    durable.push(began.elapsed());
                }
                _ => {
                    snapshots.download(&manifest, &into("ours"), &|_| ()).await?;
                    ours.push(began.elapsed());
                }
            }
        }
        for what in ["plain", "durable", "ours"] {
            std::fs::remove_dir_all(into(what))?;
        }
    }
    report("plain copy, 8 at once, not synced", &manifest, plain.clone());
    report("plain copy, 8 at once, synced", &manifest, durable.clone());
    report("Snapshots::download", &manifest, ours.clone());
    for (what, copy) in [("not synced", plain), ("synced", durable)] {
        let share = |pick: fn(Vec<Duration>) -> Duration| {
            100.0 * pick(copy.clone()).as_secs_f64() / pick(ours.clone()).as_secs_f64()
        };
        println!(
            "{:.0} % of the copy that is {what}, {:.0} % by the best",
            share(median),
            share(best)
        );
    }
    Ok(())
}

fn fill(dir: &Path, files: usize, mib: usize) -> std::io::Result<()> {
    std::fs::create_dir(dir)?;
    std::fs::write(dir.join("CURRENT"), "MANIFEST-000004\n")?;
    let mut state: u64 = 1;
    for i in 0..files {
        let mut bytes = Vec::with_capacity(mib << 20);
        while bytes.len() < mib << 20 {
            // Xorshift (Marsaglia, 2003): nothing that a file system could compress.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.extend_from_slice(&state.to_le_bytes());
        }
        std::fs::write(dir.join(format!("{i:06}.sst")), bytes)?;
    }
    Ok(())
}

fn draft() -> SnapshotDraft {
    SnapshotDraft {
        log_generation: LogGeneration(1),
        partition: PartitionId(0),
        slots: vec![SlotRange { first: Slot(0), last: Slot(SLOT_COUNT - 1) }],
        map_version: 1,
        build: "measured".to_owned(),
        epoch: Epoch(1),
        uploader: "example".to_owned(),
        created_unix_ms: 0,
        next_offset: Offset(1),
        last_record_fingerprint: Some([0; 16]),
        format_version: 1,
        analyzer_version: 1,
        documents: 0,
        document_digest: Vec::new(),
        posting_digest: Vec::new(),
    }
}

fn client(server: &S3) -> object_store::Result<AmazonS3> {
    AmazonS3Builder::new()
        .with_endpoint(server.endpoint())
        .with_region(S3::REGION)
        .with_bucket_name(BUCKET)
        .with_access_key_id(S3::KEY_ID)
        .with_secret_access_key(S3::SECRET_KEY)
        .with_allow_http(true)
        .build()
}

async fn objects(repository: &dyn IndexRepository) -> Result<Vec<ObjectName>, Error> {
    let page = repository.list(None, None, 1000).await?;
    let names = page.objects.into_iter().map(|object| object.name);
    Ok(names.filter(|name| name.as_str().contains("/files/")).collect())
}

/// Each object streamed into a file, as the client hands it out; nothing is hashed.
async fn copy(
    client: &AmazonS3,
    objects: &[ObjectName],
    into: &Path,
    is_synced: bool,
) -> Result<(), Error> {
    std::fs::create_dir(into)?;
    let mut copies = FuturesUnordered::new();
    for object in objects {
        if copies.len() == COPIES {
            copies.try_next().await?;
        }
        let file = object.as_str().rsplit('/').next().unwrap_or_default();
        copies.push(copy_one(client, object, into.join(file), is_synced));
    }
    while copies.try_next().await?.is_some() {}
    Ok(())
}

async fn copy_one(
    client: &AmazonS3,
    object: &ObjectName,
    into: PathBuf,
    is_synced: bool,
) -> Result<(), Error> {
    let mut stream = client.get(&object.as_str().into()).await?.into_stream();
    let mut file = tokio::fs::File::create(into).await?;
    while let Some(bytes) = stream.next().await {
        file.write_all(&bytes?).await?;
    }
    file.flush().await?;
    if is_synced {
        file.sync_all().await?;
    }
    Ok(())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// What a machine with other work disturbed least.
fn best(times: Vec<Duration>) -> Duration {
    times.into_iter().min().unwrap_or_default()
}

fn report(what: &str, manifest: &Manifest, times: Vec<Duration>) {
    let mib = f64::from(u32::try_from(manifest.size_bytes() >> 20).unwrap_or(u32::MAX));
    let (median, best) = (median(times.clone()), best(times));
    let rate = mib / median.as_secs_f64();
    println!("{what}: {mib} MiB in {median:.2?} ({rate:.0} MiB/s), at best {best:.2?}");
}

#[allow(
    clippy::disallowed_methods,
    reason = "a measurement of this machine, not the product's time"
)]
fn now() -> Instant {
    Instant::now()
}
