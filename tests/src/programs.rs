//! The paths of the programs under test and of the tools that the tests use.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::Client;

/// The folder `tests` of the checkout.
#[must_use]
pub fn tests_folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A program of the workspace, built beside the running test.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the test knows its own path");
    let built = test.parent().and_then(Path::parent).expect("target/<profile>/deps/<test>").join(name);
    assert!(built.exists(), "{} is not built; run `cargo build --workspace` first", built.display());
    built
}

fn set_up(path: PathBuf) -> PathBuf {
    assert!(path.exists(), "{} is missing; run tests/setup.sh first (make test does)", path.display());
    path
}

/// The Python in which the vendor's SDKs are installed.
#[must_use]
pub fn python() -> Command {
    Command::new(set_up(tests_folder().join(".setup/venv/bin/python")))
}

/// The Python in which the tools of `make test-deep` are installed.
#[must_use]
pub fn deep_python() -> Command {
    let path = tests_folder().join(".setup/deep/bin/python");
    assert!(
        path.exists(),
        "{} is missing; run tests/setup.sh deep first (make test-deep does)",
        path.display()
    );
    Command::new(path)
}

/// Node, in the folder in which the vendor's SDKs are installed.
#[must_use]
pub fn node() -> Command {
    set_up(tests_folder().join("sdk/node_modules/.installed-lock"));
    let mut node = Command::new("node");
    node.current_dir(tests_folder().join("sdk"));
    node
}

/// The output of the real asciinema when it plays the whole of `cast` at once.
#[must_use]
pub fn asciinema_cat(cast: &Path) -> Vec<u8> {
    let asciinema = set_up(tests_folder().join(".setup/venv/bin/asciinema"));
    let output = Command::new(asciinema).arg("cat").arg(cast).output().expect("asciinema starts");
    assert!(output.status.success(), "asciinema cat: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// One of the vendor's unmodified SDKs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sdk {
    /// Python, generated for the product, signature V3.
    Typed,
    /// The same, asynchronous.
    TypedAsync,
    /// The same, signature V1.
    TypedV1,
    /// aliyun-python-sdk-core, POST.
    LegacyPost,
    /// aliyun-python-sdk-core, GET.
    LegacyGet,
    /// Node `@alicloud/openapi-client`, V3.
    OpenapiClient,
    /// The same, V1.
    OpenapiClientV1,
    /// Node `@alicloud/openapi-core`, V3.
    OpenapiCore,
    /// Node `@alicloud/pop-core`, GET.
    PopCoreGet,
    /// Node `@alicloud/pop-core`, POST.
    PopCorePost,
}

impl Sdk {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Typed,
        Self::TypedAsync,
        Self::TypedV1,
        Self::LegacyPost,
        Self::LegacyGet,
        Self::OpenapiClient,
        Self::OpenapiClientV1,
        Self::OpenapiCore,
        Self::PopCoreGet,
        Self::PopCorePost,
    ];

    /// Calls `action`. Returns the outcome as call.py and call.mjs print it: `reply` or `error`.
    #[must_use]
    pub fn call(self, client: &Client, action: &str, parameters: &Value) -> Value {
        let (mut command, name) = match self {
            Self::Typed => (python(), "typed"),
            Self::TypedAsync => (python(), "typed-async"),
            Self::TypedV1 => (python(), "typed-v1"),
            Self::LegacyPost => (python(), "legacy-post"),
            Self::LegacyGet => (python(), "legacy-get"),
            Self::OpenapiClient => (node(), "openapi-client"),
            Self::OpenapiClientV1 => (node(), "openapi-client-v1"),
            Self::OpenapiCore => (node(), "openapi-core"),
            Self::PopCoreGet => (node(), "pop-core-get"),
            Self::PopCorePost => (node(), "pop-core-post"),
        };
        let is_node = command.get_program() == "node";
        let script = tests_folder().join(if is_node { "sdk/call.mjs" } else { "sdk/call.py" });
        let output = command
            .arg(script)
            .args([name, action, &parameters.to_string()])
            .envs(client.environment())
            .output();
        let output = output.expect("the SDK's interpreter starts");
        json_of(&output, &format!("{name} {action}"))
    }
}

/// Runs a browser script of `tests/sdk` and returns what it printed.
#[must_use]
pub fn in_browser(script: &str, arguments: &[&str]) -> Value {
    let output = node().arg(script).args(arguments).output().expect("node starts");
    json_of(&output, script)
}

fn json_of(output: &Output, what: &str) -> Value {
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{what} failed:\n{stdout}\n{stderr}");
    let line = stdout.lines().last().unwrap_or_default();
    serde_json::from_str(line)
        .unwrap_or_else(|error| panic!("{what} printed no JSON ({error}):\n{stdout}\n{stderr}"))
}
