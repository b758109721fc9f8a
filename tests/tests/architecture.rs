//! The architecture: which package may import which, what the map lists, and what may be linked.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};
use serde::Deserialize;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ stands in the workspace").to_owned()
}

fn metadata() -> Metadata {
    MetadataCommand::new().current_dir(root()).exec().expect("cargo metadata runs")
}

/// What each package may import. A package that is missing here fails the test, so that adding one is a decision.
fn allowed_edges() -> BTreeMap<&'static str, &'static [&'static str]> {
    BTreeMap::from([
        ("policies", &[][..]),
        ("recording", &[]),
        ("request-signature", &[]),
        ("domain", &["policies", "recording"]),
        ("openapi", &["domain", "openapi-derive", "policies"]),
        ("openapi-derive", &[]),
        ("persistence", &["domain", "policies", "recording"]),
        ("agent-protocol", &["recording"]),
        (
            "api",
            &[
                "openapi",
                "domain",
                "policies",
                "persistence",
                "recording",
                "agent-protocol",
                "request-signature",
            ],
        ),
        ("transfer-observer", &["recording"]),
        ("capture-terminal", &["agent-protocol", "transfer-observer", "recording"]),
        ("hansard-agent", &["agent-protocol", "capture-terminal", "transfer-observer", "recording"]),
        (
            "hansard",
            &[
                "api",
                "persistence",
                "domain",
                "policies",
                "recording",
                "openapi",
                "agent-protocol",
                "request-signature",
            ],
        ),
        ("test-facts", &["domain", "persistence", "policies", "recording"]),
        ("test-server", &["api", "domain", "persistence", "request-signature", "test-facts"]),
    ])
}

/// The edges of `packages` that `allowed` does not name, as `from -> to`.
fn forbidden_edges(packages: &[(String, Vec<String>)], allowed: &BTreeMap<&str, &[&str]>) -> Vec<String> {
    let ours: BTreeSet<&str> = packages.iter().map(|(name, _)| name.as_str()).collect();
    let mut forbidden = Vec::new();
    for (name, imports) in packages {
        let Some(may) = allowed.get(name.as_str()) else {
            forbidden.push(format!("{name} is not in the list of rooms"));
            continue;
        };
        for import in imports.iter().filter(|import| ours.contains(import.as_str())) {
            if !may.contains(&import.as_str()) {
                forbidden.push(format!("{name} -> {import}"));
            }
        }
    }
    forbidden
}

fn workspace_imports(metadata: &Metadata) -> Vec<(String, Vec<String>)> {
    let imports = |package: &Package| {
        let normal = package.dependencies.iter().filter(|edge| edge.kind != DependencyKind::Development);
        normal.map(|edge| edge.name.clone()).collect()
    };
    metadata
        .workspace_packages()
        .into_iter()
        .filter(|package| package.name.as_str() != "whole-system")
        .map(|package| (package.name.to_string(), imports(package)))
        .collect()
}

#[test]
fn rooms_import_only_what_the_design_allows() {
    let forbidden = forbidden_edges(&workspace_imports(&metadata()), &allowed_edges());
    assert!(forbidden.is_empty(), "edges that the design forbids: {forbidden:#?}");
}

#[test]
fn a_forbidden_edge_would_be_noticed() {
    let mut packages = workspace_imports(&metadata());
    packages
        .iter_mut()
        .find(|(name, _)| name == "domain")
        .expect("domain is a room")
        .1
        .push("persistence".into());
    assert_eq!(forbidden_edges(&packages, &allowed_edges()), ["domain -> persistence"]);
}

/// The packages that a program of this name is built from.
fn linked_by(metadata: &Metadata, program: &str) -> BTreeSet<String> {
    let resolve = metadata.resolve.as_ref().expect("cargo metadata resolves");
    let names: BTreeMap<_, _> =
        metadata.packages.iter().map(|package| (&package.id, package.name.as_str())).collect();
    let program =
        metadata.packages.iter().find(|package| package.name.as_str() == program).expect("it is there");
    let (mut seen, mut queue) = (BTreeSet::new(), vec![&program.id]);
    while let Some(id) = queue.pop() {
        if !seen.insert(id) {
            continue;
        }
        let node = resolve.nodes.iter().find(|node| node.id == *id).expect("every package has a node");
        let built_in = |dep: &&cargo_metadata::NodeDep| {
            dep.dep_kinds.iter().any(|kind| kind.kind != DependencyKind::Development)
        };
        queue.extend(node.deps.iter().filter(built_in).map(|dep| &dep.pkg));
    }
    seen.into_iter().map(|id| names[id].to_owned()).collect()
}

#[test]
fn the_agent_links_neither_the_web_framework_nor_the_database() {
    let linked = linked_by(&metadata(), "hansard-agent");
    for heavy in ["actix-web", "sea-orm", "sqlx-core", "libsqlite3-sys"] {
        assert!(!linked.contains(heavy), "hansard-agent links {heavy}");
    }
    assert!(linked.contains("recording"), "the walk found the agent's own rooms");
}

#[test]
fn no_program_is_built_of_what_tests_share() {
    let metadata = metadata();
    let programs: Vec<_> = metadata
        .workspace_packages()
        .into_iter()
        .filter(|package| package.targets.iter().any(cargo_metadata::Target::is_bin))
        .map(|package| package.name.to_string())
        .collect();
    assert!(programs.len() > 1, "{programs:?}");
    for program in programs {
        let linked = linked_by(&metadata, &program);
        for kit in ["test-facts", "test-server"] {
            assert!(!linked.contains(kit), "{program} links {kit}");
        }
    }
    assert!(linked_by(&metadata, "test-server").contains("test-facts"), "the walk finds the kit");
}

/// All Markdown pages of the repository, as paths relative to the root.
fn pages() -> Vec<PathBuf> {
    // Not part of the sources: what was built or installed, and the findings of the fuzzer.
    const OTHERS: [&str; 5] = ["target", "node_modules", "artifacts", "corpus", "dist"];
    let mut pages = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root().join(&folder)).expect("a folder of the repository can be read")
        {
            let entry = entry.expect("an entry");
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = folder.join(&name);
            // Links are not followed; hidden folders contain files of tools.
            let kind = entry.file_type().expect("an entry has a type");
            if kind.is_dir() && !name.starts_with('.') && !OTHERS.contains(&name.as_str()) {
                folders.push(path);
            } else if kind.is_file() && path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    pages
}

/// The paths that a page names in backticks, provided that they look like paths of this repository.
fn named_paths(text: &str) -> Vec<String> {
    let tops: Vec<String> = std::fs::read_dir(root())
        .expect("the root can be read")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    text.split('`')
        .skip(1)
        .step_by(2)
        .filter(|text| !text.contains(|c: char| c.is_whitespace() || "<>*{}$:=".contains(c)))
        // In names of objects, `NNNN` represents a number.
        .filter(|text| !text.contains("NNNN"))
        .filter(|text| {
            // A path that begins with a slash is a URL path.
            let first = text.split('/').next().filter(|first| !first.is_empty());
            let is_file =
                [".rs", ".md", ".toml", ".json", ".ts", ".py", ".mjs"].iter().any(|end| text.ends_with(end));
            first.is_some_and(|first| text.contains('/') && (is_file || tops.iter().any(|top| top == first)))
        })
        .map(str::to_owned)
        .collect()
}

/// The paths that a page names and that exist neither below the root nor beside the page.
fn missing_paths(page: &Path, text: &str) -> Vec<String> {
    let beside = page.parent().expect("a page is in a folder");
    let exists =
        |path: &String| [Path::new(""), beside].iter().any(|folder| root().join(folder).join(path).exists());
    named_paths(text).into_iter().filter(|path| !exists(path)).collect()
}

#[test]
fn every_path_that_a_page_names_exists() {
    let pages = pages();
    for page in ["ARCHITECTURE.md", "README.md", "console/README.md", "docs/audit.md", "recording/FORMAT.md"]
    {
        assert!(pages.iter().any(|found| found == Path::new(page)), "{page} is not read");
    }
    for page in pages {
        let text = std::fs::read_to_string(root().join(&page)).expect("the page is there");
        let paths = named_paths(&text).len();
        assert!(page != Path::new("ARCHITECTURE.md") || paths > 20, "the map names only {paths} paths");
        let missing = missing_paths(&page, &text);
        assert!(missing.is_empty(), "{} names what does not exist: {missing:#?}", page.display());
    }
}

#[test]
fn a_path_that_is_gone_would_be_noticed() {
    let text = "see `domain/src/gone.rs`, `src/cast.ts` and `cargo test`";
    assert_eq!(named_paths(text), ["domain/src/gone.rs", "src/cast.ts"]);
    assert_eq!(missing_paths(Path::new("console/README.md"), text), ["domain/src/gone.rs"]);
}

#[derive(Deserialize)]
struct DenyFile {
    licenses: Licenses,
    bans: Bans,
}

#[derive(Deserialize)]
struct Licenses {
    allow: Vec<String>,
}

#[derive(Deserialize)]
struct Bans {
    deny: Vec<BannedCrate>,
}

#[derive(Deserialize)]
struct BannedCrate {
    #[serde(rename = "crate")]
    name: String,
}

fn deny_file() -> DenyFile {
    let text = std::fs::read_to_string(root().join("deny.toml")).expect("deny.toml is there");
    toml::from_str(&text).expect("deny.toml is well formed")
}

fn licence_is_allowed(expression: &str, allowed: &[String]) -> bool {
    let expression =
        spdx::Expression::parse_mode(expression, spdx::ParseMode::LAX).expect("an SPDX expression");
    expression.evaluate(|requirement| allowed.contains(&requirement.to_string()))
}

#[test]
fn every_licence_and_source_is_one_that_deny_toml_allows() {
    let (metadata, deny) = (metadata(), deny_file());
    let resolve = metadata.resolve.as_ref().expect("cargo metadata resolves");
    let used: BTreeSet<_> = resolve.nodes.iter().map(|node| &node.id).collect();
    let mut wrong = Vec::new();
    for package in metadata.packages.iter().filter(|package| used.contains(&package.id)) {
        match package.license.as_deref() {
            Some(licence) if licence_is_allowed(licence, &deny.licenses.allow) => {}
            Some(licence) => wrong.push(format!("{}: licence {licence}", package.name)),
            None => wrong.push(format!("{}: no licence expression", package.name)),
        }
        if let Some(source) = &package.source
            && !source.is_crates_io()
        {
            wrong.push(format!("{}: source {source}", package.name));
        }
        if deny.bans.deny.iter().any(|banned| banned.name == package.name.as_str()) {
            wrong.push(format!("{}: banned", package.name));
        }
    }
    assert!(wrong.is_empty(), "deny.toml does not allow: {wrong:#?}");
}

#[test]
fn a_licence_that_is_not_allowed_would_be_noticed() {
    let allowed = deny_file().licenses.allow;
    assert!(licence_is_allowed("GPL-3.0-or-later OR MIT", &allowed));
    assert!(!licence_is_allowed("GPL-3.0-or-later", &allowed));
    assert!(!licence_is_allowed("MIT AND AGPL-3.0-only", &allowed));
}
