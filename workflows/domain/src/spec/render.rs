//! What is made from the table: the commented file, the JSON Schema, the documentation.

use serde_json::{Map, Value, json};

use super::{
    fields::{Field, Kind, Need, SECTIONS, Section},
    value::words,
};

/// The commented spec that `changeover init` writes. It can be read as it is.
pub fn init_text() -> String {
    let mut out = String::from(
        "# A spec for Changeover: what moves where, and within which limits.\n\
         # Lines that start with `# key = …` show a default, or an example of something optional.\n\
         # Durations: 500ms, 5s, 2m, 1h, 3d. Sizes: kB, MB, GB (1000), KiB, MiB, GiB (1024).\n\
         # Secrets stand here by reference only: { env = \"NAME\" } or { file = \"PATH\" }, read by the worker.\n\
         # With an AWS half also { secret = \"ARN\" } or { parameter = \"ARN\" }.\n",
    );
    for section in SECTIONS {
        out.push('\n');
        for line in wrap(section.doc, 100) {
            out.push_str(&format!("# {line}\n"));
        }
        if !section.path.is_empty() {
            let left_out = if is_left_out(section) { "# " } else { "" };
            out.push_str(&format!("{left_out}{}\n", section.header()));
        }
        for field in section.fields {
            for line in wrap(field.doc, 100) {
                out.push_str(&format!("# {line}\n"));
            }
            out.push_str(&match field.need {
                Need::Required if is_left_out(section) => format!("# {} = {}\n", field.key, field.example),
                Need::Required | Need::Unless(_) => format!("{} = {}\n", field.key, field.example),
                Need::Optional => format!("# {} = {}\n", field.key, field.example),
                Need::Default(default) => format!("# {} = {default}\n", field.key),
            });
        }
    }
    out
}

/// Shown as an example: most migrations have nothing of the kind.
fn is_left_out(section: &Section) -> bool {
    section.path.starts_with("aws.")
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split(' ') {
        let full = lines.last().is_some_and(|l| !l.is_empty() && l.chars().count() + 1 + word.chars().count() > width);
        if full {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

/// `docs/spec.md`.
pub fn docs() -> String {
    let mut out = String::from(
        "# The spec\n\n\
         <!-- Made from the table in workflows/domain/src/spec/fields.rs; a test compares. To renew it: \
         CHANGEOVER_RENEW=1 cargo test -p changeover-domain --test spec_files -->\n\n\
         One TOML file says what moves where, and within which limits. `changeover init` writes a commented one; `changeover preflight` and \
         `changeover plan` read it and change nothing. All its mistakes are reported at once, each with its line and a remedy. \
         Editors that know JSON Schema find one in `deploy/spec.schema.json`.\n\n\
         - A *duration* is a text such as `\"500ms\"`, `\"5s\"`, `\"2m\"`, `\"1h 30m\"`, `\"3d\"`.\n\
         - A *size* is a text such as `\"64MB\"` (1000²) or `\"64MiB\"` (1024²).\n\
         - A *secret* is a reference, `{ env = \"NAME\" }` or `{ file = \"PATH\" }`; the worker reads it when it's needed. With an AWS half, it may be in one of the two accounts: \
         `{ secret = \"ARN\" }` in Secrets Manager, `{ parameter = \"ARN\" }` in Parameter Store. Of a JSON object there, `password` is read, or what `field` names: \
         `{ secret = \"ARN\", field = \"token\" }`; any other text is the secret itself. A secret in clear is refused (CO0105): \
         the spec becomes part of Temporal's history.\n",
    );
    for section in SECTIONS {
        let title = if section.path.is_empty() { "At the top".to_owned() } else { format!("`{}`", section.header()) };
        let need = if section.path.is_empty() || section.required { "" } else { " May be left out." };
        out.push_str(&format!("\n## {title}\n\n{}{need}\n\n", section.doc));
        out.push_str("| key | type | default | meaning | example |\n|---|---|---|---|---|\n");
        for field in section.fields {
            out.push_str(&row(field));
        }
    }
    out
}

fn row(field: &Field) -> String {
    let default = match field.need {
        Need::Required => "**required**".to_owned(),
        Need::Unless(section) => format!("**required** without `[{section}.…]`"),
        Need::Optional => "–".to_owned(),
        Need::Default(text) => format!("`{text}`"),
    };
    format!(
        "| `{}` | {} | {default} | {} | `{}` |\n",
        field.key,
        kind_words(field.kind),
        field.doc.replace('|', "\\|"),
        field.example
    )
}

fn kind_words(kind: Kind) -> String {
    match kind {
        Kind::Text | Kind::Host => "text".to_owned(),
        Kind::Name => "name".to_owned(),
        Kind::Integer { min, max } => format!("whole number, {min} to {max}"),
        Kind::Duration { min, max } => format!("duration, {} to {}", words(min), words(max)),
        Kind::Size => "size".to_owned(),
        Kind::Function => "`schema.function`".to_owned(),
        Kind::OneOf(words) => words.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(" or "),
        Kind::Texts => "list of texts".to_owned(),
        Kind::Tables => "list of `schema.table`".to_owned(),
        Kind::Secret => "secret".to_owned(),
        Kind::Secrets => "table from roles to secrets".to_owned(),
        Kind::Flag => "`true` or `false`".to_owned(),
        Kind::Account => "twelve digits".to_owned(),
    }
}

/// The JSON Schema (draft 2020-12), pretty, with a line break at the end.
pub fn json_schema() -> String {
    let mut root = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Changeover spec",
        "type": "object",
        "additionalProperties": false,
        "properties": {},
        "required": [],
        "$defs": { "secret": {
            "description": "Where a secret is found.",
            "type": "object",
            "properties": {
                "env": { "type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$" },
                "file": { "type": "string", "minLength": 1 },
                "secret": { "type": "string", "pattern": "^arn:aws[a-z-]*:secretsmanager:[^:]+:[0-9]{12}:secret:[^:]+-[A-Za-z0-9]{6}$" },
                "parameter": { "type": "string", "pattern": "^arn:aws[a-z-]*:ssm:[^:]+:[0-9]{12}:parameter/[^:]+$" },
                "field": { "type": "string", "minLength": 1 },
            },
            "additionalProperties": false,
            "oneOf": [
                { "required": ["env"], "maxProperties": 1 },
                { "required": ["file"], "maxProperties": 1 },
                { "required": ["secret"], "not": { "anyOf": [{ "required": ["env"] }, { "required": ["file"] }, { "required": ["parameter"] }] } },
                { "required": ["parameter"], "not": { "anyOf": [{ "required": ["env"] }, { "required": ["file"] }, { "required": ["secret"] }] } },
            ],
        } },
    });
    for section in SECTIONS {
        put_section(&mut root, section);
    }
    format!("{root:#}\n")
}

fn put_section(root: &mut Value, section: &Section) {
    let object = object_schema(section);
    let mut at = root;
    let parts: Vec<&str> = section.path.split('.').filter(|p| !p.is_empty()).collect();
    for (depth, part) in parts.iter().enumerate() {
        if section.required
            && let Some(required) = at["required"].as_array_mut()
            && !required.contains(&json!(part))
        {
            required.push(json!(part));
        }
        let last = depth + 1 == parts.len();
        let fresh = match (last, section.repeated) {
            (true, true) => {
                json!({ "type": "array", "minItems": u8::from(section.required), "description": section.doc, "items": object })
            }
            (true, false) => object.clone(),
            (false, _) => json!({ "type": "object", "additionalProperties": false, "properties": {}, "required": [] }),
        };
        let slot = &mut at["properties"][*part];
        if slot.is_null() {
            *slot = fresh;
        }
        at = &mut at["properties"][*part];
    }
    if parts.is_empty() {
        at["description"] = object["description"].clone();
        at["properties"] = object["properties"].clone();
        at["required"] = object["required"].clone();
    }
}

fn object_schema(section: &Section) -> Value {
    let properties: Map<String, Value> = section.fields.iter().map(|f| (f.key.to_owned(), field_schema(f))).collect();
    let required: Vec<&str> = section.fields.iter().filter(|f| f.need == Need::Required).map(|f| f.key).collect();
    json!({
        "type": "object",
        "description": section.doc,
        "additionalProperties": false,
        "properties": properties,
        "required": required,
    })
}

fn field_schema(field: &Field) -> Value {
    let mut schema = match field.kind {
        Kind::Text | Kind::Host => json!({ "type": "string", "minLength": 1 }),
        Kind::Name => json!({ "type": "string", "pattern": "^[a-z][a-z0-9_]{0,23}$" }),
        Kind::Integer { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Kind::Duration { .. } => json!({ "type": "string", "pattern": "^[0-9]+ ?[a-z]+( ?[0-9]+ ?[a-z]+)*$" }),
        Kind::Size => json!({ "type": "string", "pattern": "^[0-9]+(\\.[0-9]+)? ?[A-Za-z]+$" }),
        Kind::Function => json!({ "type": "string", "pattern": "^[^.]+\\..+$" }),
        Kind::OneOf(words) => json!({ "enum": words }),
        Kind::Texts => json!({ "type": "array", "uniqueItems": true, "items": { "type": "string", "minLength": 1 } }),
        Kind::Tables => {
            json!({ "type": "array", "uniqueItems": true, "items": { "type": "string", "pattern": "^[^.]+\\..+$" } })
        }
        Kind::Secret => json!({ "$ref": "#/$defs/secret" }),
        Kind::Secrets => json!({ "type": "object", "additionalProperties": { "$ref": "#/$defs/secret" } }),
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Account => json!({ "type": "string", "pattern": "^[0-9]{12}$" }),
    };
    schema["description"] = json!(field.doc);
    if let Need::Default(text) = field.need {
        // Texts and numbers are written alike in TOML and JSON.
        schema["default"] = serde_json::from_str(text).unwrap_or(Value::Null);
    }
    schema
}
