use super::*;

fn column(name: &str, encoding: Encoding) -> Column {
    Column {
        name: name.to_owned(),
        data_type: "text".to_owned(),
        encoding,
    }
}

fn watch(schema: &str, table: &str, key: Vec<Column>, columns: Vec<Column>) -> Watch {
    Watch {
        model: "shop.Order".to_owned(),
        name: "Order".to_owned(),
        schema: schema.to_owned(),
        table: table.to_owned(),
        source: format!("{schema}.{table}"),
        key,
        columns,
        related: Vec::new(),
        old: Vec::new(),
        operations: Operations::ROWS,
        rules: Vec::new(),
        span: 0..0,
    }
}

fn id() -> Vec<Column> {
    vec![column("id", Encoding::Plain)]
}

#[test]
fn without_fields_any_change_of_the_row_counts() {
    insta::assert_snapshot!(Function::new(&watch("public", "shop_order", id(), Vec::new())).create());
}

#[test]
fn decimals_old_values_and_truncate() {
    let total = column("total", Encoding::Decimal);
    let mut watch = watch(
        "public",
        "shop_order",
        id(),
        vec![total.clone(), column("rates", Encoding::Decimals)],
    );
    watch.old = vec![total];
    watch.operations = Operations::ROWS.with(Operation::Truncate);
    insta::assert_snapshot!(Function::new(&watch).create());
}

#[test]
fn pinned_settings_come_with_pinned_columns_and_a_composite_key() {
    let key = vec![column("region", Encoding::Plain), column("number", Encoding::Plain)];
    let mut watch = watch("sales", "orders", key, vec![column("paid_at", Encoding::Pinned)]);
    watch.operations = Operations::NONE.with(Operation::Update);
    insta::assert_snapshot!(Function::new(&watch).create());
}

#[test]
fn odd_names_stay_names() {
    let columns = vec![
        column("Upper \"quoted\" $instant$", Encoding::Plain),
        column("it's", Encoding::Decimal),
        column("back\\slash", Encoding::Plain),
        column("then", Encoding::Plain),
        column("🦀", Encoding::Plain),
    ];
    insta::assert_snapshot!(Function::new(&watch("My Schema", "Ta\"ble's", id(), columns)).create());
}

#[test]
fn more_columns_than_one_call_takes_are_built_in_parts() {
    let columns: Vec<Column> = (1..=120)
        .map(|number| column(&format!("c{number}"), Encoding::Plain))
        .collect();
    let mut watch = watch("public", "wide", id(), columns);
    watch.operations = Operations::NONE.with(Operation::Insert);
    let text = Function::new(&watch).create();
    assert_eq!(text.matches("json_build_object").count(), 3);
    insta::assert_snapshot!(text);
}

#[test]
fn a_truncate_alone_builds_no_row() {
    let mut watch = watch("public", "shop_order", id(), Vec::new());
    watch.operations = Operations::NONE.with(Operation::Truncate);
    insta::assert_snapshot!(Function::new(&watch).create());
}

#[test]
fn the_triggers_name_no_column() {
    let function = Function::new(&watch("public", "shop_order", id(), Vec::new()));
    let table = QualifiedName::new("public", "shop_order");
    insta::assert_snapshot!(format!(
        "{};\n{};\n{};",
        create_row_trigger(&table, &function),
        create_truncate_trigger(&table, &function),
        function.revoke()
    ));
}
