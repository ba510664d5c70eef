//! The manual pages.

mod client;
mod common;
mod daemon;
mod protocol;

use crate::error::{Error, Result};

/// A page and what makes it.
type Row = (&'static str, fn() -> String);

/// Every page by its name.
pub const PAGES: &[Row] = &[
    ("rpm", client::page),
    ("rpmd", daemon::page),
    ("rpm-protocol", protocol::page),
];

/// The page of this name, as roff.
pub fn page(name: &str) -> Result<String> {
    let found = PAGES.iter().find(|(known, _)| *known == name);
    found.map(|(_, make)| make()).ok_or_else(|| {
        let names: Vec<&str> = PAGES.iter().map(|(known, _)| *known).collect();
        Error::new(format!(
            "there is no manual page {name}; there are {}",
            names.join(", ")
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_has_its_name_and_refers_to_the_others() {
        for (name, make) in PAGES {
            let text = make();
            assert!(text.starts_with(&format!(".TH {} ", name.to_uppercase())));
            assert_eq!(page(name).unwrap(), text);
            let (_, see) = text.split_once(".SH \"SEE ALSO\"\n").unwrap();
            for (other, _) in PAGES.iter().filter(|(other, _)| other != name) {
                let other = other.replace('-', "\\-");
                assert!(see.contains(&format!("{other}(")), "{name}: {other}");
            }
        }
        assert!(page("rpmx").unwrap_err().to_string().contains("rpmd"));
    }
}
