use super::*;

/// Files that hold the literal secret `hunter2`, most of them broken around it.
const FILES: [&str; 31] = [
    "[database]\nurl = \"mysql://a:hunter2@b\"\n",
    "[database]\nurl = \"postgres://a:hunter2@b\nrelay_role = 1\n",
    "[database]\nurl = \"postgres://a:hunter2@b\" \"x\"\n",
    "[database]\nurl \"postgres://a:hunter2@b\"\n",
    "[database]\nurl: \"postgres://a:hunter2@b\"\n",
    "[database]\nurl = postgres://a:hunter2@b\n",
    "[database]\nurl =\n\"postgres://a:hunter2@b\"\n",
    "[database]\nurl =\nhunter2\n",
    "[database]\nulr = \"postgres://a:hunter2@b\"\n",
    "[database\nurl = \"postgres://a:hunter2@b\" 1\n",
    "[databse]\nurl = \"postgres://a:hunter2@b\"\n",
    "[database]\nurl = [\"postgres://a:hunter2@b\"]\n",
    "[database]\nurl = \"\"\"postgres://a:hunter2@b\n[[watch]]\n",
    "database = { url = \"mysql://a:hunter2@b\", x = 1 }\n",
    "database = \"postgres://a:hunter2@b\"\n",
    "database.url = \"mysql://hunter2\"\n",
    "[database]\nurl = \"${UNSET:-mysql://a:hunter2@b}\"\n",
    "[database]\nurl = \"${UNSET}hunter2\"\n",
    "[centrifugo]\nurl = \"http://a\"\napi_key = \"hunter2\" x\napi_key = \"hunter2\"\n",
    "[centrifugo]\nurl = \"ftp://hunter2\"\napi_key = hunter2\n",
    "[[watch]]\nmodel = \"a.B\"\nurl = \"postgres://a:hunter2@b\"\napi_key = \"hunter2\"\n",
    "[database]\n\"postgres://a:hunter2@b\" = 1\n",
    "[django]\nsecret_key = \"hunter2\"\nsecret_key_fallbacks = [\"hunter2\", 3]\n",
    "[django]\nsecret_key = [\"hunter2\"]\nsecret_key_fallbacks = [\n  \"hunter2\",\n  \"hunter2\" 1\n]\n",
    "[django]\nsecret_key = \"hunter2\"\nuser_model = \"hunter2\"\nsecret = \"hunter2\"\n",
    "[centrifugo]\nurl = \"http://a\"\napi_key = \"hunter2\"\ntoken_secret = [\"hunter2\"]\n",
    "[hub]\napi_key = [\"hunter2\"]\ntoken_secret = \"hunter2\" x\n",
    "[hub]\napi_key = \"hunter2\"\ntoken_secret = [\"hunter2\"]\nsecret = \"hunter2\"\n",
    "[hub]\napi_key = hunter2\n",
    "[django]\nwhoami = \"ftp://a:hunter2@b/whoami\"\n",
    "[django]\nwhoami = [\"http://a:hunter2@b/whoami\"]\n",
];

#[test]
fn a_literal_secret_is_never_shown() {
    for text in FILES {
        let (config, diagnostics) = parse(text);
        assert!(config.is_none(), "{text}");
        for output in [
            diagnostics.render(&source(text), false),
            diagnostics.render(&source(text), true),
            format!("{diagnostics:?}"),
        ] {
            assert!(!output.contains("hunter"), "{text}\n{output}");
        }
    }
}

#[test]
fn a_secret_from_the_environment_is_never_shown() {
    let text = "[database]\nurl = \"${DATABASE_URL}\"\n[centrifugo]\nurl = \"${URL}\"\napi_key = \"${KEY}\"\n";
    let (config, diagnostics) = Config::parse(source(text), &|_| Some("hunter2".to_owned()));
    assert!(config.is_none());
    let output = diagnostics.render(&source(text), false);
    assert!(!output.contains("hunter2") && output.contains("${DATABASE_URL}"), "{output}");
}

#[test]
fn the_debug_form_of_the_configuration_holds_no_secret_of_the_environment() {
    let (config, _) = parse(FULL);
    let output = format!("{:?}", config.unwrap());
    assert!(!output.contains("s3cret"), "{output}");
}

#[test]
fn the_debug_form_of_the_configuration_holds_no_literal_secret() {
    let text = "[database]\nurl = \"postgres://a:hunter2@b\"\n[centrifugo]\nurl = \"http://a\"\napi_key = \"hunter2\"\n\
         token_secret = \"hunter2\"\n[django]\nsecret_key = \"hunter2\"\nsecret_key_fallbacks = [\"hunter2\"]\n";
    let hub = "[database]\nurl = \"postgres://a:hunter2@b\"\n[hub]\napi_key = \"hunter2\"\ntoken_secret = \"hunter2\"\n\
         [django]\nwhoami = \"http://a:hunter2@b/whoami\"\n";
    for text in [text, hub] {
        let (config, problems) = parse(text);
        let output = format!("{:?}", config.unwrap_or_else(|| panic!("{problems:?}")));
        assert!(!output.contains("hunter2"), "{output}");
    }
}
