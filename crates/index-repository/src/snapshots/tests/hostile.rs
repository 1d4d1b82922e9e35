//! Manifests with a sound envelope and bad intentions: refused before a byte is written.

use nautilus_proto::snapshot::v1 as proto;
use prost::Message as _;

use super::format::sealed;
use super::*;

/// What somebody did to the newest snapshot.
enum Deed {
    /// Its manifest says something else, in a sound envelope.
    Says(Change<proto::Manifest>),
    /// Its manifest's bytes are others.
    Bytes(Change<Vec<u8>>),
    /// Its files, or what is around them.
    Files(fn(&Scene, &Manifest)),
}

use Deed::{Bytes, Files, Says};

/// What was done, and what is said of it.
const TABLE: [(&str, Deed, &str); 46] = [
    ("a name up the tree", Says(|m| name_first(m, "../../escaped.sst")), "not a file of"),
    ("an absolute name", Says(|m| name_first(m, "/etc/passwd")), "not a file of"),
    ("a name in a folder", Says(|m| name_first(m, "folder/000001.sst")), "not a file of"),
    ("a step of a path", Says(|m| name_first(m, "..")), "not a file of"),
    ("a name with a zero byte", Says(|m| name_first(m, "CURRENT\0")), "not a file of"),
    ("a file of the database's own", Says(|m| name_first(m, "LOCK")), "not a file of"),
    ("no name", Says(|m| name_first(m, "")), "not a file of"),
    ("one name twice", Says(|m| m.files[0].name = m.files[1].name.clone()), "twice"),
    ("an absurd size", Says(|m| m.files[0].size_bytes = u64::MAX), "too many"),
    ("one byte too many", Says(|m| m.files[0].size_bytes = (1 << 31) + 1), "too many"),
    ("another size", Says(|m| m.files[0].size_bytes += 1), "missing"),
    ("a short hash", Says(|m| m.files[0].sha256.truncate(31)), "SHA-256"),
    ("no files", Says(|m| m.files.clear()), "no files"),
    ("too many files", Says(|m| m.files = vec![m.files[0].clone(); FILES_MAX + 1]), "10001 files"),
    ("no slots", Says(|m| m.slots.clear()), "slots"),
    ("a slot beyond all", Says(|m| m.slots[0].last = u32::MAX), "slot"),
    ("slots that meet", Says(|m| m.slots[1].first = 3), "ascending"),
    ("a short cluster id", Says(|m| m.cluster_id.truncate(15)), "cluster id"),
    ("half a fingerprint", Says(|m| m.last_record_fingerprint = vec![7; 3]), "fingerprint"),
    ("a time before all", Says(|m| m.created_unix_ms = -1), "1970"),
    ("a huge build", Says(|m| m.build = "b".repeat(129)), "too long"),
    ("a huge digest", Says(|m| m.document_digest = vec![0; 65]), "too long"),
    ("a link to an upload that is not named", Says(|m| lie(m, 2, &[])), "does not name"),
    ("an upload up the tree", Says(|m| lie(m, 2, &["../../4/files/x"])), "no snapshot"),
    ("an upload of nothing", Says(|m| lie(m, 2, &[""])), "no snapshot"),
    ("uploads out of order", Says(|m| lie(m, 2, &[NAME, NAME])), "ascending"),
    (
        "an upload for nothing",
        Says(|m| {
            lie(m, 2, &[NAME]);
            m.files[0].stored_in = 0;
        }),
        "none of",
    ),
    ("too many uploads", Says(|m| lie(m, 2, &[NAME; UPLOADS_MAX + 1])), "65 uploads"),
    ("uploads unknown to its readers", Says(|m| lie(m, 1, &[NAME])), "may not know"),
    ("an upload that is not there", Says(|m| lie(m, 2, &[NAME])), "missing"),
    ("another cluster", Says(|m| m.cluster_id = vec![8; 16]), "another snapshot"),
    ("another partition", Says(|m| m.partition = 4), "another snapshot"),
    ("another build", Says(|m| m.build = "build-b".to_owned()), "another snapshot"),
    ("another offset", Says(|m| m.next_offset = 21), "another snapshot"),
    ("a newer format", Says(|m| m.format_version = 5), "format version 5"),
    ("another analyzer", Says(|m| m.analyzer_version = 7), "analyzer version 7"),
    ("a manifest of the future", Says(|m| m.min_reader_version = 3), "reader of version 3"),
    ("an envelope of the future", Bytes(|bytes| bytes[8] = 2), "reader of version 2"),
    ("a flipped bit", Bytes(|bytes| bytes[77] ^= 1), "checksum"),
    ("half a manifest", Bytes(|bytes| bytes.truncate(bytes.len() / 2)), "checksum"),
    ("no bytes", Bytes(Vec::clear), "cut short"),
    ("another kind of file", Bytes(|bytes| bytes[0] = b'n'), "not a manifest"),
    ("a flipped file", Files(|scene, m| edit(scene, m, |bytes| bytes[3] ^= 1)), "hash"),
    ("a truncated file", Files(|scene, m| edit(scene, m, |bytes| bytes.truncate(3))), "3 bytes"),
    ("a missing file", Files(|scene, m| drop(fs::remove_file(sst(scene, m)))), "missing"),
    (
        "a renamed file",
        Files(|scene, m| {
            let path = sst(scene, m);
            fs::rename(&path, path.with_file_name("000013.sst")).expect("renamed");
        }),
        "missing",
    ),
];

/// Of a snapshot that is not there.
const NAME: &str = "00000000000000000002-00000000000000000009-00000000000000000005-\
    45c07f4097f07f54a2edf3959e250fde";

fn name_first(manifest: &mut proto::Manifest, name: &str) {
    manifest.files[0].name = name.to_owned();
}

/// The first file lies with the first of these uploads.
fn lie(manifest: &mut proto::Manifest, version: u32, snapshots: &[&str]) {
    manifest.min_reader_version = version;
    manifest.files[0].stored_in = 1;
    let upload = |snapshot: &&str| proto::Upload {
        snapshot: (*snapshot).to_owned(),
        upload_id: vec![1; 16],
    };
    manifest.uploads = snapshots.iter().map(upload).collect();
}

fn sst(scene: &Scene, manifest: &Manifest) -> PathBuf {
    scene.file_path(manifest, "000012.sst")
}

fn edit(scene: &Scene, manifest: &Manifest, change: Change<Vec<u8>>) {
    let path = sst(scene, manifest);
    let mut bytes = fs::read(&path).expect("read");
    change(&mut bytes);
    fs::write(path, bytes).expect("written");
}

/// Everything beside the repository and the target, with its content.
fn outside(scene: &Scene) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![scene.dir.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("listed") {
            let path = entry.expect("entry").path();
            let is_dir = path.symlink_metadata().expect("there").is_dir();
            if is_dir && path != scene.dir.path().join("repository") {
                folders.push(path.clone());
            }
            found.insert(path.clone(), if is_dir { None } else { fs::read(path).ok() });
        }
    }
    found
}

/// Each is refused with its reason, writes nothing beside the target, and leads to the next older snapshot.
#[tokio::test]
async fn whatever_is_wrong_with_the_newest_the_older_one_is_used() {
    let scene = Scene::new().await;
    let older = scene.publish(draft(10)).await;
    let newer = scene.publish(draft(20)).await;
    let path = scene.manifest_path(&newer);
    let (manifest, content) = (fs::read(&path).expect("read"), sst(&scene, &newer));
    let file = fs::read(&content).expect("read");
    let before = outside(&scene);
    for (what, deed, hint) in TABLE {
        match deed {
            Says(change) => {
                let mut said = newer.to_proto().expect("in bounds");
                change(&mut said);
                fs::write(&path, sealed(&said.encode_to_vec())).expect("written");
            }
            Bytes(change) => {
                let mut bytes = manifest.clone();
                change(&mut bytes);
                fs::write(&path, bytes).expect("written");
            }
            Files(change) => change(&scene, &newer),
        }
        let found = scene.restore(&wanted()).await;
        assert_eq!(found.manifest.as_ref(), Some(&older), "{what}");
        let [reason] = reasons(&found)[..] else { panic!("{what}: {found:?}") };
        assert!(reason.to_string().contains(hint), "{what}: {reason}");
        assert_eq!(outside(&scene), before, "{what}");
        fs::write(&path, &manifest).expect("mended");
        fs::write(&content, &file).expect("mended");
    }
    assert_eq!(offset_of(&scene.restore(&wanted()).await), Some(20), "all is mended");
}

/// Links where a download writes: it takes them away or refuses, and follows none.
#[tokio::test]
async fn no_link_leads_a_download_elsewhere() {
    use std::os::unix::fs::symlink;
    /// Given the folder of downloads, where links lead, and the name of the upload's folder.
    type Plant = fn(&Path, &Path, &str);
    let links: [(&str, Plant); 7] = [
        ("a file", |holder, victim, upload| {
            fs::create_dir_all(holder.join(upload)).expect("made");
            symlink(victim.join("file"), holder.join(upload).join("000012.sst")).expect("linked");
        }),
        ("a file's second name", |holder, victim, upload| {
            fs::create_dir_all(holder.join(upload)).expect("made");
            let file = holder.join(upload).join("000012.sst");
            fs::hard_link(victim.join("file"), file).expect("linked");
        }),
        ("the folder of the upload", |holder, victim, upload| {
            fs::create_dir_all(holder).expect("made");
            symlink(victim, holder.join(upload)).expect("linked");
        }),
        ("the lock", |holder, victim, _| {
            fs::create_dir_all(holder).expect("made");
            symlink(victim.join("new"), holder.join("lock")).expect("linked");
        }),
        ("another upload", |holder, victim, _| {
            fs::create_dir_all(holder).expect("made");
            symlink(victim, holder.join("00")).expect("linked");
        }),
        ("the folder of downloads", |holder, victim, _| symlink(victim, holder).expect("linked")),
        ("the target", |holder, victim, _| {
            let empty = victim.join("empty");
            symlink(empty, holder.with_file_name("restored")).expect("linked");
        }),
    ];
    for (what, plant) in links {
        let scene = Scene::new().await;
        let manifest = scene.publish(draft(10)).await;
        let victim = scene.dir.path().join("victim");
        fs::create_dir_all(victim.join("empty")).expect("made");
        fs::write(victim.join("file"), "precious").expect("written");
        let holder = scene.dir.path().join("restored.downloading");
        plant(&holder, &victim, &manifest.upload.to_string());
        let outcome = scene.snapshots.download(&manifest, &scene.target(), &|_| ()).await;
        let is_refused = ["the folder of downloads", "the target"].contains(&what);
        assert_eq!(outcome.is_err(), is_refused, "{what}: {outcome:?}");
        if !is_refused {
            assert_eq!(files_of(&scene.target()), files_of(&scene.checkpoint("10")), "{what}");
        }
        assert_eq!(fs::read(victim.join("file")).expect("there"), b"precious", "{what}");
        assert_eq!(fs::read_dir(&victim).expect("listed").count(), 2, "{what}");
        assert_eq!(fs::read_dir(victim.join("empty")).expect("listed").count(), 0, "{what}");
    }
}

#[tokio::test]
async fn what_newer_writers_wrote_is_understood_or_named() {
    let scene = Scene::new().await;
    scene.publish(draft(10)).await;
    let newer = scene.publish(draft(20)).await;
    let path = scene.manifest_path(&newer);
    let mut future = newer.to_proto().expect("in bounds");
    future.manifest_version = 9;
    future.min_reader_version = 3;
    fs::write(&path, sealed(&future.encode_to_vec())).expect("written");
    let found = scene.restore(&wanted()).await;
    assert_eq!(offset_of(&found), Some(10));
    assert_eq!(reasons(&found), [&Unusable::NewerLayout { found: 3, supported: 2 }]);

    // A newer writer that old readers may follow; field 2000 is unknown to them.
    future.min_reader_version = 1;
    let mut bytes = future.encode_to_vec();
    bytes.extend([0x80, 0x7d, 0x01]);
    let mut bytes = sealed(&bytes);
    bytes[12..28].copy_from_slice(&newer.upload.0);
    let checksum = crate::source::sha256(&bytes[..bytes.len() - 32]);
    let end = bytes.len() - 32;
    bytes[end..].copy_from_slice(&checksum);
    fs::write(&path, bytes).expect("written");
    assert_eq!(scene.restore(&wanted()).await.manifest, Some(newer));
}
