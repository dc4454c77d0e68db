//! Tables as PostgreSQL's catalog describes them: kind, columns, key, descendants, and the constraints that matter to capture.

mod path;
mod queries;

use sqlx::PgPool;

use super::identifier::QualifiedName;
use super::watch::{Column, Encoding};

/// A relation of the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Relation {
    /// Its object id.
    pub(super) oid: sqlx::postgres::types::Oid,
    /// Its schema and name.
    pub(super) name: QualifiedName,
    /// Its kind.
    pub(super) kind: Kind,
}

/// The kind of a relation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An ordinary table.
    Table,
    /// A partitioned table; PostgreSQL clones its triggers to the partitions.
    Partitioned,
    /// A partition of a partitioned table.
    Partition,
    /// A foreign table, whose remote writes fire no trigger here.
    Foreign,
    /// A view or a materialized view.
    View,
}

/// A table that can have triggers, with what capture needs of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    /// The table itself.
    pub(super) relation: Relation,
    /// Its columns, in the table's order.
    pub(super) columns: Vec<TableColumn>,
    /// The primary key's columns, in the key's order; empty without a primary key.
    pub(super) key: Vec<String>,
    /// Its deferrable unique and primary key constraints: an insert of a key may precede the delete of the same key.
    pub(super) deferrable: Vec<String>,
    /// The tables above a partition, nearest first.
    pub(super) ancestors: Vec<sqlx::postgres::types::Oid>,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TableColumn {
    /// Its name, type, and encoding as JSON.
    pub(super) column: Column,
    /// Whether it is generated when read, so that a trigger sees null (PostgreSQL 18).
    pub(super) computed_when_read: bool,
}

impl Table {
    /// Reads `relation`'s table.
    pub(super) async fn read(pool: &PgPool, relation: Relation) -> Result<Self, sqlx::Error> {
        let columns = queries::columns(pool, relation.oid).await?;
        let key = queries::primary_key(pool, relation.oid).await?;
        let deferrable = queries::deferrable_constraints(pool, relation.oid).await?;
        let ancestors = match relation.kind {
            Kind::Partition => queries::partition_ancestors(pool, relation.oid).await?,
            _ => Vec::new(),
        };
        Ok(Self {
            relation,
            columns: columns
                .into_iter()
                .map(|column| TableColumn {
                    column: Column {
                        encoding: encoding(&column.base_type, column.builtin, column.is_enum, column.is_array),
                        name: column.name,
                        data_type: column.data_type,
                    },
                    computed_when_read: column.generated == "v",
                })
                .collect(),
            key,
            deferrable,
            ancestors,
        })
    }

    /// Returns the column of a Django field or column name: the column itself, or the `<field>_id` of a foreign key.
    pub(super) fn resolve(&self, name: &str) -> Option<&TableColumn> {
        self.column(name).or_else(|| self.column(&format!("{name}_id")))
    }

    /// Returns whether it looks like the table of a model that inherits fields from another: Django names such a key `<parent>_ptr_id`.
    pub(super) fn has_parent(&self) -> bool {
        matches!(self.key.as_slice(), [key] if key.ends_with("_ptr_id"))
    }

    /// Returns the column with exactly this name.
    pub(super) fn column(&self, name: &str) -> Option<&TableColumn> {
        self.columns.iter().find(|column| column.column.name == name)
    }
}

pub(super) use path::absence;
pub(super) use queries::{descendants, find, foreign_key, is_unique, names, primary_key};

/// Returns the encoding of a type's values as JSON: plain for the types that no session setting affects, and pinned for every type that
/// is not certainly one of them.
fn encoding(base_type: &str, builtin: bool, is_enum: bool, is_array: bool) -> Encoding {
    let plain = [
        "int2", "int4", "int8", "text", "varchar", "bpchar", "bool", "uuid", "json", "jsonb", "inet", "cidr",
    ];
    match (builtin, base_type) {
        (true, "numeric") if is_array => Encoding::Decimals,
        (true, "numeric") => Encoding::Decimal,
        (true, name) if plain.contains(&name) => Encoding::Plain,
        _ if is_enum => Encoding::Plain,
        _ => Encoding::Pinned,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_defined_type_is_pinned_whatever_its_name() {
        assert_eq!(encoding("int4", true, false, false), Encoding::Plain);
        assert_eq!(encoding("int4", false, false, false), Encoding::Pinned);
        assert_eq!(encoding("mood", false, true, true), Encoding::Plain);
    }

    #[test]
    fn decimals_keep_their_scale() {
        assert_eq!(encoding("numeric", true, false, false), Encoding::Decimal);
        assert_eq!(encoding("numeric", true, false, true), Encoding::Decimals);
        assert_eq!(encoding("float8", true, false, false), Encoding::Pinned);
    }
}
