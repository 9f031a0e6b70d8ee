//! The JSON Schema of the configuration, generated from the table that checks it.

use std::collections::BTreeMap;

use schemars::Schema;
use serde_json::{Map, Value, json};

use super::keys::ROOT;
use super::table::{Kind, Need, Section};
use super::text::Format;

/// The JSON Schema (draft 2020-12) of a single file with everything. Unsupported keys are left out.
#[must_use]
pub fn schema() -> Schema {
    let mut definitions = BTreeMap::new();
    let mut root = section(&ROOT, &mut definitions);
    root.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    root.insert("title".to_owned(), json!("Offboard"));
    root.insert("$defs".to_owned(), json!(definitions));
    Schema::from(root)
}

type Definitions = BTreeMap<&'static str, Value>;

fn section(section: &'static Section, definitions: &mut Definitions) -> Map<String, Value> {
    let keys = || section.keys.iter().filter(|key| key.need != Need::NotBuilt);
    let mut properties = Map::new();
    for key in keys() {
        let mut value = kind(&key.kind, definitions);
        if let Some(object) = value.as_object_mut() {
            object.insert("description".to_owned(), json!(key.about));
        }
        properties.insert(key.name.to_owned(), value);
    }
    let required: Vec<_> = keys().filter(|key| key.need == Need::Required).map(|key| key.name).collect();
    let mut object = Map::new();
    object.insert("type".to_owned(), json!("object"));
    object.insert("description".to_owned(), json!(section.about));
    object.insert("properties".to_owned(), Value::Object(properties));
    object.insert("additionalProperties".to_owned(), json!(false));
    if !required.is_empty() {
        object.insert("required".to_owned(), json!(required));
    }
    object
}

fn kind(kind: &Kind, definitions: &mut Definitions) -> Value {
    match kind {
        Kind::Text(format) => json!({ "type": "string", "pattern": format.pattern() }),
        Kind::Claim => {
            let name = json!({ "type": "string", "pattern": Format::Plain.pattern() });
            json!({ "anyOf": [name, { "type": "array", "items": name, "minItems": 1 }] })
        }
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Count => json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX }),
        Kind::Word(words) => json!({ "enum": words.built }),
        Kind::List(item) => json!({ "type": "array", "items": self::kind(item, definitions), "minItems": 1 }),
        Kind::ListOrEmpty(item) => json!({ "type": "array", "items": self::kind(item, definitions) }),
        Kind::ListOr(item, word) => json!({ "anyOf": [
            { "type": "array", "items": self::kind(item, definitions), "minItems": 1 },
            { "const": word },
        ] }),
        Kind::Section(section) => {
            if !definitions.contains_key(section.name) {
                let object = self::section(section, definitions);
                definitions.insert(section.name, Value::Object(object));
            }
            json!({ "$ref": format!("#/$defs/{}", section.name) })
        }
        Kind::Names(format, value) => json!({
            "type": "object",
            "propertyNames": { "pattern": format.pattern() },
            "additionalProperties": self::kind(value, definitions),
        }),
    }
}
