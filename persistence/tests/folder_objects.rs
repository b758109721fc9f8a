//! The folder store: written once, whole or not at all, and never outside its folder.

// Clippy's own exception for tests does not cover helper functions that tests share.
#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "the store itself is tested here")]

use std::fs::File;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::Bytes;
use domain::Timestamp;
use domain::store_location::StoreLocation;
use persistence::objects::{FolderObjects, FolderStores, ObjectError, ObjectStore, PutOutcome, WriteGrant};
use recording::ObjectName;
use tempfile::TempDir;

/// Longer than any object here.
const MOST: usize = 1024 * 1024;

const UNFINISHED: &str = ".hansard-unfinished";

const BUCKET: &str = "workbench-record-1609982529000000-default";

fn location(bucket: &str) -> StoreLocation {
    StoreLocation {
        region: "cn-beijing".parse().unwrap(),
        bucket: bucket.parse().unwrap(),
        expected_owner: "1609982529000000".parse().unwrap(),
    }
}

fn open(root: &Path) -> FolderObjects {
    FolderStores::open(root).unwrap().bucket_at(&location(BUCKET))
}

fn name(text: &str) -> ObjectName {
    ObjectName::parse(text).unwrap()
}

struct World {
    folder: TempDir,
    objects: FolderObjects,
}

impl World {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let objects = open(&folder.path().join("objects"));
        Self { folder, objects }
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("objects")
    }

    fn in_bucket(&self, below: &str) -> PathBuf {
        self.root().join(BUCKET).join(below)
    }

    async fn put(&self, text: &str, bytes: &'static [u8]) -> Result<PutOutcome, ObjectError> {
        self.objects.put_once(&name(text), Bytes::from_static(bytes)).await
    }

    async fn get(&self, text: &str) -> Result<Bytes, ObjectError> {
        self.objects.get(&name(text), MOST).await
    }

    async fn listed(&self, prefix: &str) -> Vec<String> {
        let page = self.objects.list_page(prefix, None).await.unwrap();
        assert_eq!(page.next, None);
        page.objects.into_iter().map(|object| format!("{} {}", object.name, object.length)).collect()
    }

    fn unfinished(&self) -> usize {
        std::fs::read_dir(self.root().join(UNFINISHED)).map_or(0, Iterator::count)
    }
}

#[tokio::test]
async fn what_is_longer_than_the_reader_takes_is_not_read() {
    let world = World::new();
    world.put("a", b"12345").await.unwrap();
    let read = async |most| world.objects.get(&name("a"), most).await;
    assert_eq!(read(5).await.unwrap(), "12345");
    assert!(matches!(read(4).await.unwrap_err(), ObjectError::TooLong { most: 4, .. }));
    // Four tebibytes that occupy no space.
    File::options().write(true).open(world.in_bucket("a")).unwrap().set_len(4 << 40).unwrap();
    assert!(matches!(read(MOST).await.unwrap_err(), ObjectError::TooLong { .. }));
    assert!(matches!(world.put("a", b"12345").await.unwrap_err(), ObjectError::AlreadyExists { .. }));
}

#[tokio::test]
async fn an_object_is_written_once_and_read_back() {
    let world = World::new();
    assert_eq!(world.put("record/2026/a.zst", b"hello").await.unwrap(), PutOutcome::Stored);
    assert_eq!(world.put("record/2026/a.zst", b"hello").await.unwrap(), PutOutcome::AlreadyThere);
    for other in [b"hellO".as_slice(), b"", b"hello!"] {
        let refused = world.put("record/2026/a.zst", other).await.unwrap_err();
        assert!(matches!(refused, ObjectError::AlreadyExists { .. }), "{refused:?}");
    }
    assert_eq!(world.get("record/2026/a.zst").await.unwrap(), "hello");
    assert_eq!(world.objects.head(&name("record/2026/a.zst")).await.unwrap().unwrap().length, 5);
    assert_eq!(world.unfinished(), 0);
    let mode = std::fs::metadata(world.in_bucket("record/2026/a.zst")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // Another process sees the same.
    let again = open(&world.root());
    assert_eq!(again.get(&name("record/2026/a.zst"), MOST).await.unwrap(), "hello");
}

#[tokio::test]
async fn an_empty_object_is_an_object() {
    let world = World::new();
    assert_eq!(world.put("empty", b"").await.unwrap(), PutOutcome::Stored);
    assert_eq!(world.put("empty", b"").await.unwrap(), PutOutcome::AlreadyThere);
    assert_eq!(world.get("empty").await.unwrap(), "");
    assert_eq!(world.objects.get_range(&name("empty"), 0..0).await.unwrap(), "");
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let world = World::new();
    world.put("a", b"1").await.unwrap();
    for absent in ["b", "b/c", "a/b", "a/b/c", &"x".repeat(255)] {
        let refused = world.get(absent).await.unwrap_err();
        assert!(matches!(refused, ObjectError::NotFound { .. }), "{absent}: {refused:?}");
        assert_eq!(world.objects.head(&name(absent)).await.unwrap(), None, "{absent}");
    }
    world.objects.delete(&name("b/c")).await.unwrap();
    world.put("c/d", b"1").await.unwrap();
    assert!(matches!(world.get("c").await, Err(ObjectError::NotFound { .. })), "a folder is no object");
    world.objects.delete(&name("c")).await.unwrap();
    assert_eq!(world.listed("").await, ["a 1", "c/d 1"]);
}

#[tokio::test]
async fn exactly_the_bytes_of_a_range_are_read() {
    let world = World::new();
    world.put("a", b"0123456789").await.unwrap();
    for (range, expected) in [(0..10, "0123456789"), (3..5, "34"), (9..10, "9"), (4..4, ""), (10..10, "")] {
        assert_eq!(world.objects.get_range(&name("a"), range).await.unwrap(), expected);
    }
    #[allow(clippy::reversed_empty_ranges)]
    for outside in [0..11, 10..11, 11..11, 5..4, 0..u64::MAX, u64::MAX..u64::MAX] {
        let refused = world.objects.get_range(&name("a"), outside.clone()).await.unwrap_err();
        assert!(matches!(refused, ObjectError::OutsideRange { length: 10, .. }), "{outside:?}: {refused:?}");
    }
}

#[tokio::test]
async fn lists_are_sorted_by_bytes_and_begin_with_the_prefix() {
    let world = World::new();
    for object in ["a/b/2", "a/b/10", "a/b.x", "a/bc/1", "a-1", "b", "é"] {
        world.put(object, b"1").await.unwrap();
    }
    assert_eq!(world.listed("").await, ["a-1 1", "a/b.x 1", "a/b/10 1", "a/b/2 1", "a/bc/1 1", "b 1", "é 1"]);
    assert_eq!(world.listed("a/b").await, ["a/b.x 1", "a/b/10 1", "a/b/2 1", "a/bc/1 1"]);
    assert_eq!(world.listed("a/b/").await, ["a/b/10 1", "a/b/2 1"]);
    assert_eq!(world.listed("a/b/1").await, ["a/b/10 1"]);
    for nothing in [
        "c",
        "a/b/2/",
        "a/b/2/x",
        "/",
        "//",
        "a//b",
        "../",
        "a/../a/",
        "a/./b",
        ".hansard-unfinished/",
        "a\0/b",
    ] {
        assert_eq!(world.listed(nothing).await, Vec::<String>::new(), "{nothing:?}");
    }
    let empty = FolderStores::open(&world.root()).unwrap().bucket_at(&location("none"));
    assert!(empty.list_page("", None).await.unwrap().objects.is_empty());
    assert!(!world.root().join("none").exists(), "reading makes no bucket");
}

#[tokio::test]
async fn a_deleted_name_is_free_again() {
    let world = World::new();
    world.put("a/b", b"1").await.unwrap();
    world.objects.delete(&name("a/b")).await.unwrap();
    assert!(world.get("a/b").await.is_err());
    assert_eq!(world.put("a/b", b"22").await.unwrap(), PutOutcome::Stored);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_concurrent_writes_of_one_name_exactly_one_wins() {
    let world = World::new();
    let second = open(&world.root());
    for round in 0..20 {
        let object = name(&format!("deep/er/{round}/object"));
        let mut writes = tokio::task::JoinSet::new();
        for writer in 0..8_u8 {
            let (objects, object) =
                (if writer % 2 == 0 { &world.objects } else { &second }.clone(), object.clone());
            writes.spawn(async move {
                let bytes = Bytes::from(vec![writer; 10_000]);
                (writer, objects.put_once(&object, bytes).await)
            });
        }
        let results = writes.join_all().await;
        let winners: Vec<u8> =
            results.iter().filter(|(_, result)| result.is_ok()).map(|(writer, _)| *writer).collect();
        assert_eq!(winners.len(), 1, "{results:?}");
        for (_, result) in &results {
            let fair = matches!(result, Ok(PutOutcome::Stored) | Err(ObjectError::AlreadyExists { .. }));
            assert!(fair, "{result:?}");
        }
        assert_eq!(world.objects.get(&object, MOST).await.unwrap(), vec![winners[0]; 10_000]);
    }
    assert_eq!(world.unfinished(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_concurrent_writes_of_the_same_bytes_all_succeed() {
    let world = World::new();
    let mut writes = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let objects = world.objects.clone();
        writes.spawn(async move { objects.put_once(&name("a/b/c"), Bytes::from(vec![7; 50_000])).await });
    }
    let outcomes: Vec<PutOutcome> = writes.join_all().await.into_iter().map(Result::unwrap).collect();
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == PutOutcome::Stored).count(), 1);
}

#[tokio::test]
async fn an_unfinished_write_is_never_seen_and_goes_at_the_next_start() {
    let world = World::new();
    world.put("a", b"whole").await.unwrap();
    std::fs::write(world.root().join(UNFINISHED).join("torn"), b"tor").unwrap();
    assert_eq!(world.listed("").await, ["a 5"]);
    // No object can have a name in this folder.
    let refused = world.objects.get(&name(".hansard-unfinished/torn"), MOST).await.unwrap_err();
    assert!(matches!(refused, ObjectError::UnusableName { .. }), "{refused:?}");
    let refused = world.put(".hansard-unfinished/x", b"1").await.unwrap_err();
    assert!(matches!(refused, ObjectError::UnusableName { .. }), "{refused:?}");
    // A file that another process is still writing is left alone: that process holds an flock on it.
    let busy = world.root().join(UNFINISHED).join("busy");
    std::fs::write(&busy, b"bus").unwrap();
    let mut writer = Command::new("flock")
        .arg(&busy)
        .args(["-c", "echo locked; read _"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("util-linux has flock");
    let mut said = [0; 7];
    std::io::Read::read_exact(writer.stdout.as_mut().unwrap(), &mut said).unwrap();
    open(&world.root());
    assert!(busy.exists() && !world.root().join(UNFINISHED).join("torn").exists());
    drop(writer.stdin.take());
    writer.wait().unwrap();
    open(&world.root());
    assert_eq!(world.unfinished(), 0);
    assert_eq!(world.get("a").await.unwrap(), "whole");
}

/// A write that fails half-way on the disk leaves nothing, and the name stays free.
#[tokio::test]
async fn a_write_that_fails_leaves_nothing() {
    if rustix::process::geteuid().is_root() {
        // File modes do not restrict root; a file in place of the folder does.
        let world = World::new();
        world.put("a", b"1").await.unwrap();
        std::fs::remove_dir(world.root().join(UNFINISHED)).unwrap();
        std::fs::write(world.root().join(UNFINISHED), b"in the way").unwrap();
        assert!(world.put("b", b"2").await.is_err());
        assert_eq!(world.listed("").await, ["a 1"]);
        std::fs::remove_file(world.root().join(UNFINISHED)).unwrap();
        assert_eq!(world.put("b", b"2").await.unwrap(), PutOutcome::Stored);
    } else {
        let world = World::new();
        world.put("a", b"1").await.unwrap();
        let closed =
            |mode| std::fs::set_permissions(world.root().join(UNFINISHED), PermissionsExt::from_mode(mode));
        closed(0o500).unwrap();
        assert!(matches!(world.put("b", b"2").await, Err(ObjectError::Unavailable { .. })));
        closed(0o700).unwrap();
        assert_eq!(world.put("b", b"2").await.unwrap(), PutOutcome::Stored);
    }
}

#[tokio::test]
async fn no_link_leads_out_of_the_folder() {
    let world = World::new();
    let outside = world.folder.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("secret"), b"secret").unwrap();
    world.put("a/b", b"1").await.unwrap();
    let plant = |target: &Path, at: &str| symlink(target, world.in_bucket(at)).unwrap();
    plant(&outside, "a/folder");
    plant(&outside.join("secret"), "a/file");
    plant(&outside.join("new"), "a/dangling");
    for planted in ["a/folder/secret", "a/file", "a/dangling"] {
        assert!(matches!(world.get(planted).await, Err(ObjectError::NotFound { .. })), "{planted}");
        assert!(world.put(planted, b"evil").await.is_err(), "{planted}");
        assert_eq!(world.objects.head(&name(planted)).await.unwrap(), None, "{planted}");
        let _ = world.objects.delete(&name(planted)).await;
    }
    assert!(world.put("a/folder/new", b"evil").await.is_err());
    assert_eq!(world.listed("").await, ["a/b 1"]);
    assert_eq!(world.listed("a/folder/").await, Vec::<String>::new());
    assert_eq!(std::fs::read(outside.join("secret")).unwrap(), b"secret");
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1);
    // Nor does a bucket that is a symbolic link.
    let linked = FolderStores::open(&world.root()).unwrap().bucket_at(&location("linked"));
    symlink(&outside, world.root().join("linked")).unwrap();
    assert!(linked.put_once(&name("x"), Bytes::from_static(b"evil")).await.is_err());
    assert!(linked.get(&name("secret"), MOST).await.is_err());
    assert!(linked.list_page("", None).await.unwrap().objects.is_empty());
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1);
}

#[tokio::test]
async fn a_planted_pipe_does_not_block() {
    let world = World::new();
    world.put("a", b"1").await.unwrap();
    assert!(Command::new("mkfifo").arg(world.in_bucket("pipe")).status().unwrap().success());
    let read =
        tokio::time::timeout(std::time::Duration::from_secs(10), world.get("pipe")).await.expect("it blocks");
    assert!(matches!(read, Err(ObjectError::NotFound { .. })), "{read:?}");
    assert!(world.put("pipe", b"1").await.is_err());
    assert_eq!(world.listed("").await, ["a 1"]);
}

#[tokio::test]
async fn names_that_a_file_system_cannot_keep_are_refused() {
    let world = World::new();
    let long = world.put(&"x".repeat(256), b"1").await.unwrap_err();
    assert!(matches!(long, ObjectError::UnusableName { .. }), "{long:?}");
    let deepest = ["d"; 512].join("/");
    assert_eq!(world.put(&deepest, b"1").await.unwrap(), PutOutcome::Stored);
    assert_eq!(world.listed("d/d/").await, [format!("{deepest} 1")]);
    world.put("file", b"1").await.unwrap();
    for in_the_way in ["file/below", "d"] {
        let refused = world.put(in_the_way, b"1").await.unwrap_err();
        assert!(matches!(refused, ObjectError::UnusableName { .. }), "{in_the_way}: {refused:?}");
    }
    for odd in ["..a", "a..", "...", "-rf", "$(x)", "a b", "\u{202e}x", "%2e%2e"] {
        assert_eq!(world.put(odd, b"1").await.unwrap(), PutOutcome::Stored, "{odd}");
        assert_eq!(world.get(odd).await.unwrap(), "1", "{odd}");
    }
}

#[tokio::test]
async fn writers_go_through_the_control_plane() {
    let world = World::new();
    let ask = async |text: &str| {
        let until = Timestamp::from_millis(1_000);
        world.objects.write_grant(&name(text), 5, &recording::ContentHash::of(b"bytes"), until).await
    };
    assert_eq!(ask("a/b").await.unwrap(), WriteGrant::ThroughControlPlane);
    assert!(matches!(ask(".hansard-unfinished/a").await, Err(ObjectError::UnusableName { .. })));
    let presigned = WriteGrant::Presigned {
        url: "https://bucket.example/a?signature=secret".to_owned(),
        headers: [("x-token".to_owned(), "secret".to_owned())].into(),
        expires_at: Timestamp::from_millis(1_000),
    };
    assert!(!format!("{presigned:?}").contains("secret"));
}

#[test]
fn a_root_that_is_a_file_is_refused() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, b"x").unwrap();
    for refused in [file.clone(), file.join("below")] {
        let refused = FolderStores::open(&refused).unwrap_err();
        assert!(matches!(refused, ObjectError::Unavailable { .. }), "{refused:?}");
    }
}

#[test]
fn a_root_is_made_with_all_that_is_missing_above_it() {
    let folder = TempDir::new().unwrap();
    FolderStores::open(&folder.path().join("a/b/c")).unwrap();
    FolderStores::open(&folder.path().join("a/b/c")).unwrap();
    let mode = std::fs::metadata(folder.path().join("a/b/c")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}
