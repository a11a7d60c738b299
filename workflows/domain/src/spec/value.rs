//! Single values: from TOML to what they mean.

use std::{str::FromStr, time::Duration};

use toml::{
    Spanned,
    de::{DeString, DeValue},
};

use super::{
    error::{CLEAR, TYPE, VALUE},
    fields::Kind,
};
use crate::{
    MigrationId,
    aws::{
        names::is_account,
        stored::{Store, StoredAt},
    },
    proto::{SecretRef, Stored, secret_ref::From},
};

/// A value that was understood.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Text(String),
    Number(u64),
    Texts(Vec<String>),
    Secret(SecretRef),
    Secrets(Vec<(String, SecretRef)>),
    Flag(bool),
}

/// Why a value was not understood.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) code: &'static str,
    /// Goes on after "`key` ".
    pub(super) message: String,
    pub(super) remedy: String,
}

fn wrong(code: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Wrong {
    Wrong { code, message: message.into(), remedy: remedy.into() }
}

/// Reads a value as `kind` wants it. `example` goes into the remedy.
pub(super) fn read(kind: Kind, value: &DeValue<'_>, example: &str) -> Result<Value, Wrong> {
    match kind {
        Kind::Secret => secret(value).map(Value::Secret),
        Kind::Secrets => secrets(value, example),
        Kind::Integer { min, max } => integer(value, min, max, example).map(Value::Number),
        Kind::Duration { min, max } => duration(text(value, "a duration as text", example)?, min, max, example),
        Kind::Size => size(text(value, "a size as text", example)?, example),
        Kind::Texts => texts(value, example, |item| plain(item, example)),
        Kind::Tables => texts(value, example, |item| table(item, example)),
        Kind::Text => plain(text(value, "a text", example)?, example).map(Value::Text),
        Kind::Name => name(text(value, "a text", example)?),
        Kind::Host => host(text(value, "a text", example)?, example),
        Kind::Function => function(text(value, "a text", example)?, example),
        Kind::Flag => value.as_bool().map(Value::Flag).ok_or_else(|| mistyped(value, "`true` or `false`", example)),
        Kind::Account => account(text(value, "a text of twelve digits", example)?, example),
        Kind::OneOf(words) => one_of(text(value, "a text", example)?, words),
    }
}

fn text<'a>(value: &'a DeValue<'_>, wanted: &str, example: &str) -> Result<&'a str, Wrong> {
    value.as_str().ok_or_else(|| mistyped(value, wanted, example))
}

fn mistyped(value: &DeValue<'_>, wanted: &str, example: &str) -> Wrong {
    wrong(TYPE, format!("is {}, where {wanted} belongs", type_word(value)), format!("write it as in `{example}`"))
}

fn type_word(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

fn plain(text: &str, example: &str) -> Result<String, Wrong> {
    if text.trim().is_empty() {
        return Err(wrong(VALUE, "is empty", format!("write it as in `{example}`, or leave the key out")));
    }
    if text.chars().any(char::is_control) {
        return Err(wrong(VALUE, "holds a control character", "remove the line break, tab or NUL"));
    }
    Ok(text.to_owned())
}

fn name(text: &str) -> Result<Value, Wrong> {
    MigrationId::parse(text)
        .map(|id| Value::Text(id.as_str().to_owned()))
        .map_err(|e| wrong(VALUE, format!("doesn't fit: {e}"), "choose a name such as `shop` or `billing_2`"))
}

fn host(text: &str, example: &str) -> Result<Value, Wrong> {
    let text = plain(text, example)?;
    // Not quoted back: a connection string holds a password.
    if text.contains("://") || text.contains(['@', '/', ' ', '=', ',']) {
        return Err(wrong(
            VALUE,
            "isn't the plain name or address of one host",
            format!("give the host alone, as in `{example}`; user, password and port have keys of their own"),
        ));
    }
    if text.matches(':').count() == 1 {
        return Err(wrong(VALUE, format!("`{text}` holds a port"), "give the host alone, and the port as `port`"));
    }
    Ok(Value::Text(text))
}

fn account(text: &str, example: &str) -> Result<Value, Wrong> {
    if is_account(text) {
        return Ok(Value::Text(text.to_owned()));
    }
    Err(wrong(VALUE, "isn't an account of AWS", format!("give its twelve digits as a text, as in `{example}`")))
}

fn function(text: &str, example: &str) -> Result<Value, Wrong> {
    let text = plain(text, example)?;
    match text.split_once('.') {
        Some((schema, name)) if !schema.is_empty() && !name.is_empty() => Ok(Value::Text(text)),
        _ => Err(wrong(VALUE, format!("`{text}` isn't schema.function"), format!("write it as in `{example}`"))),
    }
}

fn table(text: &str, example: &str) -> Result<String, Wrong> {
    let text = plain(text, example)?;
    match text.split_once('.') {
        Some((schema, name)) if !schema.is_empty() && !name.is_empty() => Ok(text),
        _ => Err(wrong(
            VALUE,
            format!("`{text}` isn't schema.table"),
            format!("write it with its schema, as in `{example}`"),
        )),
    }
}

fn one_of(text: &str, words: &[&str]) -> Result<Value, Wrong> {
    if words.contains(&text) {
        return Ok(Value::Text(text.to_owned()));
    }
    let known = words.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(" or ");
    Err(wrong(VALUE, format!("`{text}` isn't known"), format!("use {known}")))
}

fn integer(value: &DeValue<'_>, min: u64, max: u64, example: &str) -> Result<u64, Wrong> {
    let Some(number) = value.as_integer() else { return Err(mistyped(value, "a whole number", example)) };
    let read = i128::from_str_radix(number.as_str(), number.radix()).ok().and_then(|n| u64::try_from(n).ok());
    match read {
        Some(n) if (min..=max).contains(&n) => Ok(n),
        _ => Err(wrong(VALUE, format!("{number} is out of range"), format!("use a number from {min} to {max}"))),
    }
}

/// Whole milliseconds of a text such as `1h 30m`.
pub(super) fn milliseconds(text: &str) -> Option<u64> {
    // humantime takes "0" without a unit only; a bare number would leave the unit to guesses.
    let parsed: Duration = humantime::parse_duration(text).ok()?;
    if !text.contains(|c: char| c.is_alphabetic()) {
        return None;
    }
    u64::try_from(parsed.as_millis()).ok()
}

fn duration(text: &str, min: u64, max: u64, example: &str) -> Result<Value, Wrong> {
    let Some(ms) = milliseconds(text) else {
        let message = format!("`{text}` isn't a duration");
        return Err(wrong(VALUE, message, format!("give a number with its unit (ms, s, m, h, d), as in `{example}`")));
    };
    if (min..=max).contains(&ms) {
        return Ok(Value::Number(ms));
    }
    let (low, high) = (words(min), words(max));
    Err(wrong(VALUE, format!("`{text}` is out of range"), format!("use a duration from {low} to {high}")))
}

/// A duration as people write it.
pub(super) fn words(ms: u64) -> String {
    if ms == 0 { "0s".to_owned() } else { humantime::format_duration(Duration::from_millis(ms)).to_string() }
}

fn size(text: &str, example: &str) -> Result<Value, Wrong> {
    let has_unit = text.contains(|c: char| c.is_alphabetic());
    match bytesize::ByteSize::from_str(text) {
        Ok(size) if has_unit && size.as_u64() > 0 => Ok(Value::Number(size.as_u64())),
        _ => {
            let message = format!("`{text}` isn't a size");
            Err(wrong(
                VALUE,
                message,
                format!("give a number with its unit (kB, MB, GB, or KiB, MiB, GiB), as in `{example}`"),
            ))
        }
    }
}

fn texts(value: &DeValue<'_>, example: &str, item: impl Fn(&str) -> Result<String, Wrong>) -> Result<Value, Wrong> {
    let Some(array) = value.as_array() else { return Err(mistyped(value, "a list", example)) };
    let mut read = Vec::new();
    for entry in array.iter() {
        let entry = item(text(entry.get_ref(), "a text", example)?)?;
        if read.contains(&entry) {
            return Err(wrong(super::error::DUPLICATE, format!("lists `{entry}` twice"), "remove one of them"));
        }
        read.push(entry);
    }
    Ok(Value::Texts(read))
}

const REFERENCE: &str = "`{ env = \"NAME\" }` or `{ file = \"PATH\" }`; with an AWS half also `{ secret = \"ARN\" }` or `{ parameter = \"ARN\" }`";

fn secret(value: &DeValue<'_>) -> Result<SecretRef, Wrong> {
    // What stands here may be a password: it is never quoted back.
    let Some(table) = value.as_table() else {
        let message = "is written in clear; a spec holds only references to secrets";
        return Err(wrong(
            CLEAR,
            message,
            format!("change the password, put it where the worker can read it, and write {REFERENCE}"),
        ));
    };
    if table.keys().any(|key| !["env", "file", "secret", "parameter", "field"].contains(&key.get_ref().as_ref())) {
        let message = "has a key other than `env`, `file`, `secret`, `parameter` and `field`";
        return Err(wrong(super::error::UNKNOWN, message, format!("write {REFERENCE}")));
    }
    let named = |(key, _): &(&Spanned<DeString<'_>>, _)| key.get_ref().as_ref() == "field";
    let (fields, others): (Vec<_>, Vec<_>) = table.iter().partition(named);
    let [(key, reference)] = others.as_slice() else {
        let message = "needs exactly one of `env`, `file`, `secret` and `parameter`";
        return Err(wrong(VALUE, message, format!("write {REFERENCE}")));
    };
    let text = |value: &Spanned<DeValue<'_>>| {
        let text = value.get_ref().as_str().filter(|text| !text.trim().is_empty() && !text.contains('\0'));
        text.map(str::to_owned)
            .ok_or_else(|| wrong(TYPE, "needs a text that names where the secret is", format!("write {REFERENCE}")))
    };
    let reference = text(reference)?;
    let field = fields.first().map(|(_, field)| text(field)).transpose()?;
    let from = match key.get_ref().as_ref() {
        "secret" => stored(reference, field, Store::SecretsManager)?,
        "parameter" => stored(reference, field, Store::ParameterStore)?,
        _ if field.is_some() => {
            let message = "has a `field` of something else than `secret` and `parameter`";
            return Err(wrong(VALUE, message, "remove it: a variable and a file hold the password and nothing else"));
        }
        "env" if is_variable(&reference) => From::Env(reference),
        "env" => {
            let remedy = "give the variable's name (letters, digits, underscores), not its value";
            return Err(wrong(VALUE, "doesn't name an environment variable", remedy));
        }
        _ => From::File(reference),
    };
    Ok(SecretRef { from: Some(from) })
}

fn stored(arn: String, field: Option<String>, store: Store) -> Result<From, Wrong> {
    if StoredAt::of(&arn).is_some_and(|at| at.store == store) {
        return Ok(From::Stored(Stored { arn, field: field.unwrap_or_default() }));
    }
    let (message, remedy) = match store {
        Store::SecretsManager => (
            "doesn't name a secret of Secrets Manager",
            "give its complete ARN, with the hyphen and six characters at its end, such as \
             `arn:aws:secretsmanager:eu-central-1:111111111111:secret:orders/app-AbC123`",
        ),
        Store::ParameterStore => (
            "doesn't name a parameter of Parameter Store",
            "give its ARN without a version, such as `arn:aws:ssm:eu-central-1:111111111111:parameter/orders/app`",
        ),
    };
    Err(wrong(VALUE, message, remedy))
}

fn is_variable(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn secrets(value: &DeValue<'_>, example: &str) -> Result<Value, Wrong> {
    let Some(table) = value.as_table() else {
        return Err(mistyped(value, "a table from names to references", example));
    };
    let mut read = Vec::new();
    for (name, reference) in table.iter() {
        let name = name.get_ref().as_ref();
        let reference = secret(reference.get_ref()).map_err(|mut e| {
            e.message = format!("has an entry `{name}` that {}", e.message);
            e
        })?;
        read.push((plain(name, example)?, reference));
    }
    Ok(Value::Secrets(read))
}
