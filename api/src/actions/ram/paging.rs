//! Lists that are paged by Marker and MaxItems.

use openapi::parameter_types::{Marker, MaxItems};
use openapi::ram::DEFAULT_MAX_ITEMS;
use persistence::MarkerRequest;

/// The page that is wanted. The store checks that Marker belongs to this list.
pub(in crate::actions) fn page(marker: Option<Marker>, max_items: Option<MaxItems>) -> MarkerRequest {
    let max_items = max_items.map_or(DEFAULT_MAX_ITEMS, MaxItems::get);
    MarkerRequest { marker: marker.map(String::from), max_items }
}
