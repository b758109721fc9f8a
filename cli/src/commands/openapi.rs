//! `hansard openapi`: the documents, from the program itself.

use domain::actions::Product;
use openapi::documents::document_text;

use crate::arguments::{Document, OpenapiArguments};
use crate::failure::Failure;
use crate::terminal;

/// Runs the command.
///
/// # Errors
/// Standard output cannot be written.
pub(crate) fn run(arguments: &OpenapiArguments) -> Result<(), Failure> {
    let document = match arguments.document {
        _ if arguments.agent => api::agent_api::document(),
        Document::Agent => api::agent_api::document(),
        Document::Workbench => document_text(Product::Workbench),
        Document::Ram => document_text(Product::Ram),
        Document::Sts => document_text(Product::Sts),
    };
    terminal::print(&document)
}
