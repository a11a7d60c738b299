//! The pages of `docs/errors/`, built in.

/// Code and text, by code.
pub(crate) const PAGES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/pages.rs"));

/// A page; the code in any case, with or without `CO`.
pub(crate) fn find(code: &str) -> Option<(&'static str, &'static str)> {
    let code = code.trim().to_ascii_uppercase();
    let code = if code.starts_with("CO") { code } else { format!("CO{code}") };
    PAGES.iter().find(|(c, _)| *c == code).copied()
}

/// The title: the first line without `# CO0000: `.
pub(crate) fn title(page: &str) -> &str {
    let line = page.lines().next().unwrap_or_default();
    line.split_once(": ").map_or(line, |(_, title)| title)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_has_its_shape() {
        for (code, page) in PAGES {
            assert!(page.starts_with(&format!("# {code}: ")), "{code}: its first line is `# {code}: short title`");
            for section in ["## What happened", "## What Changeover did", "## What to do", "## How to check"] {
                assert!(page.contains(section), "{code} lacks `{section}`");
            }
        }
    }

    #[test]
    fn a_page_is_found_however_it_is_typed() {
        for code in ["CO0102", "co0102", "0102"] {
            assert_eq!(find(code).map(|(c, _)| c), Some("CO0102"));
        }
        assert!(find("CO9999").is_none());
    }
}
