//! Instances and the tags that conditions of policies ask for.

use domain::instance_tags::InstanceTags;
use persistence::{InstanceEntry, Store};
use serde_json::{Map, Value, json};

use super::{Operator, refused};
use crate::arguments::{InstanceCommand, Output};
use crate::failure::Failure;
use crate::table::{Table, facts};
use crate::terminal;

pub(super) async fn run(
    command: &InstanceCommand,
    output: Output,
    store: &Store,
    operator: &Operator,
) -> Result<(), Failure> {
    let granted = &operator.granted;
    match command {
        InstanceCommand::Tag { instance, tags, remove } => {
            let audit = operator.audit("instance tag", format!("instance/{instance}"));
            let set = tags.clone();
            let standing =
                store.tag_instance(granted, instance, remove.clone(), set, audit).await.map_err(refused)?;
            if output == Output::Json {
                return terminal::print_json(
                    &json!({ "InstanceId": instance.as_str(), "Tags": tags_json(&standing) }),
                );
            }
            let shown = shown(&standing);
            terminal::print(&facts([("InstanceId", instance.to_string()), ("Tags", shown)]))
        }
        InstanceCommand::List => {
            let instances = store.all_instances(granted).await.map_err(refused)?;
            if output == Output::Json {
                return terminal::print_json(&instances.iter().map(entry_json).collect());
            }
            let mut table = Table::new(&["INSTANCE", "REGION", "TAGS"]);
            for entry in instances {
                let region = entry.region.map_or_else(String::new, |region| region.to_string());
                table.row([entry.instance.to_string(), region, shown(&entry.tags)]);
            }
            terminal::print(&table.to_text())
        }
    }
}

fn shown(tags: &InstanceTags) -> String {
    let tags: Vec<String> =
        tags.iter().map(|(key, value)| format!("{}={}", key.as_str(), value.as_str())).collect();
    tags.join(", ")
}

fn tags_json(tags: &InstanceTags) -> Value {
    let tags: Map<String, Value> =
        tags.iter().map(|(key, value)| (key.as_str().to_owned(), json!(value.as_str()))).collect();
    Value::Object(tags)
}

fn entry_json(entry: &InstanceEntry) -> Value {
    json!({
        "InstanceId": entry.instance.as_str(),
        "RegionId": entry.region.as_ref().map(domain::Region::as_str),
        "Tags": tags_json(&entry.tags),
    })
}
