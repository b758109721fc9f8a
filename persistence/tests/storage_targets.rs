//! Which storage targets the folder store accepts, and where its unfinished writes are.

// Clippy's own exception for tests does not cover helper functions that tests share.
#![allow(clippy::unwrap_used)]

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use bytes::Bytes;
use domain::storage_target::RecordStorageTarget;
use persistence::objects::{FolderStores, LocationUnusable, ObjectStores as _};
use recording::ObjectName;
use tempfile::TempDir;

const BUCKET: &str = "workbench-record-1609982529000000-demo";

fn target(below: &str) -> RecordStorageTarget {
    let text = format!("acs:oss:cn-beijing:1609982529000000:{BUCKET}{below}");
    RecordStorageTarget::parse(&text, &"1609982529000000".parse().unwrap()).unwrap()
}

struct World {
    folder: TempDir,
    stores: FolderStores,
}

impl World {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let stores = FolderStores::open(folder.path()).unwrap();
        Self { folder, stores }
    }

    fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    async fn put(&self, name: &str) {
        let objects = self.stores.at(target("").location());
        objects.put_once(&ObjectName::parse(name).unwrap(), Bytes::from_static(b"x")).await.unwrap();
    }

    async fn check(&self, below: &str) -> Result<(), LocationUnusable> {
        let target = target(below);
        self.stores.at(target.location()).check_usable(target.prefix()).await
    }

    async fn refused_prefix(&self, below: &str) -> &'static str {
        match self.check(below).await {
            Err(LocationUnusable::Prefix { why }) => why,
            other => panic!("{below}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn what_no_object_could_be_written_to_is_no_target() {
    let world = World::new();
    world.check("").await.unwrap();
    world.check("/record/a").await.unwrap();
    assert_eq!(std::fs::read_dir(world.folder.path()).unwrap().count(), 0, "asking makes nothing");
    for reserved in ["/.hansard-unfinished", "/a/.hansard-unfinished", "/.hansard-unfinished/a"] {
        assert!(world.refused_prefix(reserved).await.contains("this store's own folder"), "{reserved}");
    }
    world.put("record/start.json").await;
    world.check("/record").await.unwrap();
    world.check("/record/other").await.unwrap();
    for object in ["/record/start.json", "/record/start.json/below", "/record/start.json/b/c"] {
        assert!(world.refused_prefix(object).await.contains("is a file"), "{object}");
    }
    symlink("/tmp", world.path(BUCKET).join("link")).unwrap();
    world.refused_prefix("/link").await;
    world.refused_prefix("/link/below").await;
}

#[tokio::test]
async fn a_bucket_that_is_a_file_is_no_bucket() {
    let world = World::new();
    std::fs::write(world.path(BUCKET), b"in the way").unwrap();
    for below in ["", "/record"] {
        let refused = world.check(below).await.unwrap_err();
        assert!(matches!(refused, LocationUnusable::Bucket { .. }), "{refused:?}");
    }
}

/// A fault that can be repaired is distinguished from a permanent refusal.
#[tokio::test]
async fn what_takes_no_writes_now_is_unreachable() {
    let world = World::new();
    if rustix::process::geteuid().is_root() {
        // File modes do not restrict root; a file in place of the folder of unfinished writes does.
        std::fs::write(world.path(".hansard-unfinished"), b"in the way").unwrap();
    } else {
        world.put("record/a").await;
        let folder = world.path(BUCKET).join("record");
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o500)).unwrap();
    }
    let refused = world.check("/record").await.unwrap_err();
    assert!(matches!(refused, LocationUnusable::Unreachable(_)), "{refused:?}");
    let said = refused.to_string();
    assert!(said.starts_with("its store takes no objects there now: "), "{said}");
    assert!(!said.contains(&world.folder.path().display().to_string()), "{said}");
}

#[tokio::test]
async fn unfinished_writes_lie_outside_every_bucket_and_old_leftovers_still_go() {
    let world = World::new();
    world.put("record/a").await;
    assert!(world.path(".hansard-unfinished").is_dir());
    assert!(!world.path(BUCKET).join(".hansard-unfinished").exists());
    // The state left by an interrupted write, of this version and of an earlier one.
    let old = world.path(BUCKET).join(".hansard-unfinished");
    std::fs::create_dir(&old).unwrap();
    std::fs::write(old.join("torn"), b"to").unwrap();
    std::fs::write(world.path(".hansard-unfinished/torn"), b"to").unwrap();
    FolderStores::open(world.folder.path()).unwrap();
    assert!(!old.exists());
    assert_eq!(std::fs::read_dir(world.path(".hansard-unfinished")).unwrap().count(), 0);
    assert_eq!(std::fs::read(world.path(BUCKET).join("record/a")).unwrap(), b"x");
}
