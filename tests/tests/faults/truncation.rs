//! Objects of a delivered recording that are cut short at every byte, or have a wrong bit: `verify` never calls them
//! complete, and says which object it is.

use std::path::{Path, PathBuf};

use recording::{Expected, FolderSource, Integrity, Trust, Verdict, verify};
use whole_system::{Seeded, until};

use crate::oracle::{self, Ending};
use crate::session::{Connected, Session};
use crate::{Stage, cases};

/// The folder below which a recording's objects lie.
fn folder_of(objects: &Path, token: &str) -> PathBuf {
    fn find(folder: &Path, name: &str) -> Option<PathBuf> {
        let folders = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
        folders
            .filter(|path| path.is_dir())
            .find_map(|path| if path.file_name()? == name { Some(path) } else { find(&path, name) })
    }
    until("the objects are there", || find(objects, token))
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        if entry.path().is_dir() {
            files.extend(files_below(&entry.path()));
        } else {
            files.push(entry.path());
        }
    }
    files.sort();
    files
}

/// A way to damage an object.
#[derive(Debug, Clone, Copy)]
enum Damage {
    CutTo(usize),
    Flip { byte: usize, bit: usize },
}

impl Damage {
    fn of(self, whole: &[u8]) -> Vec<u8> {
        let mut bytes = whole.to_vec();
        match self {
            Self::CutTo(length) => bytes.truncate(length),
            Self::Flip { byte, bit } => bytes[byte] ^= 1 << bit,
        }
        bytes
    }
}

#[test]
fn an_object_in_the_store_that_is_cut_at_any_byte_or_has_a_wrong_bit_is_named() {
    let stage = Stage::new("i-torn");
    let session = Session::begin(&stage.instance, Connected::ToATerminal, "echo a little; echo more >&2");
    let (_, seen) = session.ends();
    oracle::check(&stage.deployment.root, &seen, Ending::Whole);
    let folder = folder_of(&stage.deployment.objects_folder(), &seen.token);
    let copy = stage.deployment.scratch().join("copy");
    assert!(std::process::Command::new("cp").arg("-r").args([&folder, &copy]).status().unwrap().success());

    let files = files_below(&copy);
    let name = |file: &Path| file.strip_prefix(&copy).unwrap().to_str().unwrap().to_owned();
    let names: Vec<String> = files.iter().map(|file| name(file)).collect();
    let expected = ["manifest-0000.json", "manifest-0000.sig", "start.json", "terminal/000000.cast.zst"];
    assert_eq!(names, expected);
    let mut numbers = Seeded::new(1);
    for file in &files {
        let whole = std::fs::read(file).unwrap();
        let cuts = (0..whole.len()).map(Damage::CutTo);
        let mut flip = |_| Damage::Flip { byte: numbers.below(whole.len()), bit: numbers.below(8) };
        let flips: Vec<Damage> = (0..whole.len() / 4).map(&mut flip).collect();
        let damages: Vec<Damage> = cuts.chain(flips).collect();
        for damage in &damages {
            std::fs::write(file, damage.of(&whole)).unwrap();
            let source = FolderSource::new(&copy);
            let verification = verify(&source, &Expected::default(), Trust::AnySigner).unwrap();
            let Integrity::Inconsistent { object, .. } = &verification.integrity else {
                panic!("{} {damage:?}: {:?}", name(file), verification.integrity);
            };
            assert_eq!(verification.verdict(), Verdict::Inconsistent);
            // A signature and what it signs can only be named together.
            let named = object.as_str() == name(file)
                || (object.starts_with("manifest-0000.") && name(file).starts_with("manifest-0000."))
                || name(file) == "start.json";
            assert!(named, "{} {damage:?}: {object} is named", name(file));
            // Whoever reads it may fail, and does not panic.
            let _ = (recording::decode_recording(&source), recording::to_asciicast(&source));
        }
        // The program says the same, of the folder and of what the control plane has.
        let stored = folder.join(name(file));
        for _ in 0..cases(4) {
            let damage = damages[numbers.below(damages.len())];
            for (place, arguments) in
                [(file, vec![copy.to_str().unwrap(), "--any-signer"]), (&stored, vec![seen.token.as_str()])]
            {
                std::fs::write(place, damage.of(&whole)).unwrap();
                let output = stage.deployment.root.run(&[&["recordings", "verify"], &arguments[..]].concat());
                let said = String::from_utf8_lossy(&output.stdout);
                let code = output.status.code();
                assert_eq!(code, Some(4), "{place:?} {damage:?}: {said} {output:?}");
                std::fs::write(place, &whole).unwrap();
            }
        }
        std::fs::write(file, &whole).unwrap();
    }
    oracle::check(&stage.deployment.root, &seen, Ending::Whole);
}
