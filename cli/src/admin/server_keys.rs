//! `hansard admin server-keys`: the key file, without the database.

use std::path::{Path, PathBuf};

use domain::server_keys::{Purpose, ServerKeys};
use serde_json::json;

use crate::arguments::{Output, ServerKeysCommand};
use crate::failure::Failure;
use crate::private_file::{self, Existing};
use crate::table::Table;
use crate::terminal;

pub(super) fn run(
    command: &ServerKeysCommand,
    output: Output,
    default: impl FnOnce() -> Result<PathBuf, Failure>,
) -> Result<(), Failure> {
    let named = |file: &Option<PathBuf>| file.clone().map_or_else(default, Ok);
    match command {
        ServerKeysCommand::Generate { file } => {
            let keys = ServerKeys::generate().map_err(Failure::failed)?;
            private_file::write(file, &keys.to_file_text(), Existing::Refuse)?;
            show(&keys, output)
        }
        ServerKeysCommand::Rotate { file, purpose } => {
            let file = named(file)?;
            let mut keys = read(&file)?;
            let purposes = purpose.map_or(Purpose::ALL.to_vec(), |one| vec![one]);
            for purpose in purposes {
                keys = keys.rotated(purpose).map_err(Failure::failed)?;
            }
            private_file::write(&file, &keys.to_file_text(), Existing::Replace)?;
            terminal::note(
                "every replica reads its key file when it starts: copy the file, then restart them",
            );
            show(&keys, output)
        }
        ServerKeysCommand::Show { file } => show(&read(&named(file)?)?, output),
    }
}

fn read(file: &Path) -> Result<ServerKeys, Failure> {
    let text = private_file::find(file, "server keys")?
        .ok_or_else(|| Failure::usage(format!("there is no file {}", file.display())))?;
    ServerKeys::parse(&text).map_err(|error| Failure::usage(format!("{}: {error}", file.display())))
}

fn show(keys: &ServerKeys, output: Output) -> Result<(), Failure> {
    if output == Output::Json {
        let purposes = Purpose::ALL.map(|purpose| {
            let ids = keys.key_ids(purpose);
            json!({ "Purpose": purpose.as_str(), "Current": ids[0], "Older": ids[1..] })
        });
        return terminal::print_json(&json!(purposes));
    }
    let mut table = Table::new(&["PURPOSE", "CURRENT", "OLDER"]);
    for purpose in Purpose::ALL {
        let ids = keys.key_ids(purpose);
        table.row([purpose.as_str(), ids[0], &ids[1..].join(", ")]);
    }
    terminal::print(&table.to_text())
}
