//! `SET parameter TO value` from the stored form of a setting.

use changeover_domain::{Ident, ident::literal};

/// Parameters that hold a list of quoted names (`GUC_LIST_QUOTE` in guc.c; the same list as in pg_dump's `dumputils.c`).
const LISTS: &[&str] = &[
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
];

/// `"parameter" to 'value'`: what follows SET. A list is given element by element, as the server wants it.
pub(super) fn assignment(name: &str, value: &str) -> String {
    let values = if LISTS.contains(&name.to_ascii_lowercase().as_str()) {
        let parts = split_list(value);
        if parts.is_empty() { vec![String::new()] } else { parts }
    } else {
        vec![value.to_owned()]
    };
    let values: Vec<String> = values.iter().map(|value| literal(value)).collect();
    format!("{} to {}", parameter(name), values.join(", "))
}

/// The parameter's name quoted, part by part (`app.tenant` is two identifiers).
pub(super) fn parameter(name: &str) -> String {
    name.split('.').map(|part| Ident::new(part).to_string()).collect::<Vec<_>>().join(".")
}

/// Splits `a, "b ""c""", d` as the server's `SplitGUCList` does: names in double quotes, a doubled quote inside means one.
fn split_list(value: &str) -> Vec<String> {
    let mut parts = Vec::new();
    let mut rest = value.trim();
    while !rest.is_empty() {
        let (part, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_name(quoted),
            None => rest
                .split_once(',')
                .map_or((rest.trim().to_owned(), ""), |(a, _)| (a.trim().to_owned(), &rest[a.len()..])),
        };
        parts.push(part);
        rest = after.trim_start().strip_prefix(',').unwrap_or("").trim_start();
    }
    parts
}

fn quoted_name(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c != '"' {
            name.push(c);
        } else if chars.peek().is_some_and(|(_, next)| *next == '"') {
            chars.next();
            name.push('"');
        } else {
            return (name, &text[at + 1..]);
        }
    }
    (name, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("search_path", "\"$user\", public", "\"search_path\" to '$user', 'public'")]
    #[case("search_path", "\"Größe & Maß\", sales", "\"search_path\" to 'Größe & Maß', 'sales'")]
    #[case("search_path", "\"a, \"\"b\"\"\"", "\"search_path\" to 'a, \"b\"'")]
    #[case("search_path", "", "\"search_path\" to ''")]
    #[case("search_path", "\"\"", "\"search_path\" to ''")]
    #[case("DateStyle", "German, DMY", "\"DateStyle\" to 'German, DMY'")]
    #[case("work_mem", "16MB", "\"work_mem\" to '16MB'")]
    #[case("app.tenant", "o'x", "\"app\".\"tenant\" to 'o''x'")]
    fn a_setting_is_written_as_the_server_wants_it(#[case] name: &str, #[case] value: &str, #[case] sql: &str) {
        assert_eq!(assignment(name, value), sql);
    }
}
