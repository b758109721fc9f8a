//! Lists that are paged by Marker and MaxItems.

use openapi::error_codes::WireError;
use openapi::ram::DEFAULT_MAX_ITEMS;
use persistence::MarkerRequest;

/// The page that is wanted. The request's shape checks that MaxItems is between 1 and 1000; the store checks that
/// Marker belongs to this list.
pub(in crate::actions) fn page(
    marker: Option<String>,
    max_items: Option<i32>,
) -> Result<MarkerRequest, WireError> {
    let max_items = match max_items {
        None => DEFAULT_MAX_ITEMS,
        Some(count) => u32::try_from(count)
            .map_err(|_| WireError::invalid("MaxItems", "it must be a whole number from 1 to 1000"))?,
    };
    Ok(MarkerRequest { marker, max_items })
}
