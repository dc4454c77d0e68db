//! The name of a watch's function.

use sha2::{Digest, Sha256};

/// The maximum length of a PostgreSQL name, in bytes; longer ones are truncated silently.
const NAME_BYTES: usize = 63;

/// Returns the name of the function that captures `schema.table`: `capture_<schema>_<table>`. If that is too long, or two tables could
/// share it because of an underscore in the schema's name, it ends in eight hexadecimal digits of a hash, and is truncated if need be.
#[must_use]
pub fn function_name(schema: &str, table: &str) -> String {
    let plain = format!("capture_{schema}_{table}");
    if plain.len() <= NAME_BYTES && !schema.contains('_') {
        return plain;
    }
    // A zero byte cannot occur in a name, so that no two pairs hash the same text.
    let digest = Sha256::digest(format!("{schema}\0{table}"));
    let hash = format!("{:02x}{:02x}{:02x}{:02x}", digest[0], digest[1], digest[2], digest[3]);
    let mut cut = plain.len().min(NAME_BYTES - hash.len() - 1);
    while !plain.is_char_boundary(cut) {
        cut -= 1;
    }
    format!("{}_{hash}", &plain[..cut])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_name_stays_plain() {
        assert_eq!(function_name("public", "shop_order"), "capture_public_shop_order");
    }

    #[test]
    fn two_tables_never_share_a_name() {
        assert_ne!(function_name("a_b", "c"), function_name("a", "b_c"));
        assert_ne!(function_name("a_b", "c"), function_name("a_b_c", ""));
    }

    #[test]
    fn a_long_name_fits_and_keeps_whole_characters() {
        let name = function_name("public", &"ü".repeat(31));
        assert!(name.len() <= NAME_BYTES, "{name}");
        assert_ne!(name, function_name("public", &format!("{}x", "ü".repeat(30))));
    }
}
