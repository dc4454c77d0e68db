use super::*;
use crate::capture::watch::{Column, Encoding};
use crate::change::Operations;

fn watch(table: &str) -> Watch {
    Watch {
        model: format!("shop.{table}"),
        name: table.to_owned(),
        schema: "public".to_owned(),
        table: table.to_owned(),
        source: format!("public.{table}"),
        key: vec![Column {
            name: "id".to_owned(),
            data_type: "int8".to_owned(),
            encoding: Encoding::Plain,
        }],
        columns: Vec::new(),
        related: Vec::new(),
        old: Vec::new(),
        operations: Operations::ROWS,
        rules: Vec::new(),
        span: 0..0,
    }
}

fn empty(tables: Vec<Vec<QualifiedName>>) -> State {
    State {
        schema: SchemaState::Missing,
        functions: Vec::new(),
        triggers: Vec::new(),
        tables,
        missing_grants: Vec::new(),
        definers: crate::capture::identity::Definers::default(),
    }
}

fn public(name: &str) -> QualifiedName {
    QualifiedName::new("public", name)
}

/// Returns the state after a plan for `watches`.
fn applied(watches: &[Watch]) -> State {
    let functions: Vec<Function> = watches.iter().map(Function::new).collect();
    let triggers = functions.iter().zip(watches).flat_map(|(function, watch)| {
        [(ROW_TRIGGER, ROW_TYPE), (TRUNCATE_TRIGGER, TRUNCATE_TYPE)].map(|(name, kind)| FoundTrigger {
            name: name.to_owned(),
            table: public(&watch.table),
            ancestors: Vec::new(),
            function: Some(function.name.clone()),
            kind,
            enabled: true,
            shape: Shape::Plain,
            clone: false,
        })
    });
    State {
        schema: SchemaState::Current,
        triggers: triggers.collect(),
        functions: functions
            .iter()
            .map(|function| FoundFunction {
                name: function.name.clone(),
                body: function.body.clone(),
                settings: function.settings.clone(),
                fitting: true,
                grantees: Vec::new(),
            })
            .collect(),
        tables: watches.iter().map(|watch| vec![public(&watch.table)]).collect(),
        missing_grants: Vec::new(),
        definers: crate::capture::identity::Definers::default(),
    }
}

#[test]
fn the_first_plan_makes_everything_in_an_order_that_can_run() {
    let mut state = empty(vec![vec![public("order"), public("order_heir")]]);
    state.missing_grants = vec![(
        "grant usage on schema instant to \"relay\"".to_owned(),
        "the relay's role lacks it",
    )];
    insta::assert_snapshot!(Plan::new(&[watch("order")], &state));
}

#[test]
fn what_is_as_wanted_is_left_alone() {
    let watches = [watch("order"), watch("customer")];
    assert_eq!(Plan::new(&watches, &applied(&watches)), Plan::default());
}

#[test]
fn every_deviation_has_its_step_and_reason() {
    let watches = [watch("order"), watch("customer")];
    let mut state = applied(&[watch("order"), watch("customer"), watch("forgotten")]);
    state.tables.truncate(2);
    state.schema = SchemaState::Older;
    state.functions[0].body.push(' ');
    state.functions[1].grantees = vec!["public".to_owned()];
    state.triggers[0].enabled = false;
    state.triggers[1].shape = Shape::Constraint;
    state.triggers[2].function = Some("other".to_owned());
    state.triggers[3].kind = ROW_TYPE;
    insta::assert_snapshot!(Plan::new(&watches, &state));
}

#[test]
fn a_file_with_none_of_the_installed_watches_is_said_to_be_maybe_the_wrong_one() {
    let reasons = |wanted: &[Watch]| -> Vec<&str> {
        let mut state = applied(&[watch("order"), watch("customer")]);
        state.tables = wanted.iter().map(|watch| vec![public(&watch.table)]).collect();
        let plan = Plan::new(wanted, &state);
        let dropped = plan.steps.iter().filter(|step| step.action.starts_with("drop"));
        dropped.map(|step| step.reason).collect()
    };
    assert_eq!(reasons(&[watch("visit")]), [STRANGE; 6]);
    assert_eq!(reasons(&[watch("visit"), watch("order")]), [UNNEEDED; 3]);
}

#[test]
fn a_removal_takes_triggers_before_functions() {
    insta::assert_snapshot!(Plan::removal(&applied(&[watch("order")])));
}

#[test]
fn clones_on_partitions_are_neither_dropped_nor_left_disabled() {
    let watches = [watch("order")];
    let mut state = applied(&watches);
    let mut clone = state.triggers[0].clone();
    clone.clone = true;
    clone.table = public("order_2026");
    state.triggers.push(clone.clone());
    assert_eq!(Plan::new(&watches, &state), Plan::default());
    state.triggers[2].enabled = false;
    let plan = Plan::new(&watches, &state);
    assert_eq!(plan.steps.len(), 1);
    assert_eq!(plan.steps[0].action, "enable trigger \"!instant\" on public.order_2026");
}
