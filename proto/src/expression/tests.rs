//! The language by tables: most rows are examples of GitHub's documentation.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

fn contexts() -> Map<String, Value> {
    let contexts = json!({
        "github": {
            "ref": "refs/heads/main",
            "event_name": "push",
            "Actor": "Mona",
            "event": { "issue": { "labels": [{ "name": "bug" }, { "name": "help wanted" }, { "id": 7 }] } },
        },
        "env": { "time": "3", "EMPTY": "", "NAME": "Mona" },
        "matrix": { "os": "linux", "node": 14, "ratio": 1.5, "whole": 2.0 },
        "inputs": { "yes": true, "no": false },
        "fruits": [
            { "name": "apple", "quantity": 1 },
            { "name": "orange", "quantity": 2 },
            { "name": "pear", "quantity": 1 }
        ],
        "vegetables": {
            "scallions": { "colors": ["green", "white", "red"], "ediblePortions": ["roots", "stalks"] },
            "beets": { "colors": ["purple", "red", "gold"], "ediblePortions": ["roots", "stems", "leaves"] },
            "artichokes": { "colors": ["green", "purple", "red"], "ediblePortions": ["hearts"] }
        },
        "needs": { "build": { "result": "success", "outputs": { "list": "[1,\"two\"]" } } },
    });
    match contexts {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn eval(text: &str) -> Result<Value, ExpressionError> {
    evaluate(text, &Env::new(&contexts()))
}

#[track_caller]
fn table(rows: &[(&str, Value)]) {
    for (text, expected) in rows {
        assert_eq!(eval(text).as_ref(), Ok(expected), "{text}");
    }
}

#[track_caller]
fn errors(rows: &[(&str, usize, &str)]) {
    for (text, offset, message) in rows {
        let error = eval(text).expect_err(text);
        assert_eq!((error.offset, error.to_string().as_str()), (*offset, *message), "{text}");
    }
}

#[test]
fn literals() {
    table(&[
        ("null", Value::Null),
        ("true", json!(true)),
        ("false", json!(false)),
        ("711", json!(711)),
        ("-9.2", json!(-9.2)),
        (".5", json!(0.5)),
        ("0xff", json!(255)),
        ("-2.99e-2", json!(-0.0299)),
        ("1e3", json!(1000)),
        ("'Mona the Octocat'", json!("Mona the Octocat")),
        ("'It''s open source!'", json!("It's open source!")),
        ("''", json!("")),
        ("''''", json!("'")),
        ("'ü'", json!("ü")),
    ]);
}

#[test]
fn properties_and_indexes() {
    table(&[
        ("github.ref", json!("refs/heads/main")),
        ("github['ref']", json!("refs/heads/main")),
        ("GitHub.REF", json!("refs/heads/main")),
        ("github.actor", json!("Mona")),
        ("github.missing", Value::Null),
        ("github.missing.deeper", Value::Null),
        ("github.ref.no_property_of_text", Value::Null),
        ("github.event.issue.labels[1].name", json!("help wanted")),
        ("fruits[2].name", json!("pear")),
        ("fruits['1'].name", json!("orange")),
        ("fruits[9]", Value::Null),
        ("fruits[-1]", Value::Null),
        ("fruits['x']", Value::Null),
        ("github[matrix.missing]", Value::Null),
        ("fromJSON(needs.build.outputs.list)[1]", json!("two")),
        ("needs . build . result", json!("success")),
    ]);
}

#[test]
fn filters() {
    table(&[
        ("fruits.*.name", json!(["apple", "orange", "pear"])),
        ("fruits[*].name", json!(["apple", "orange", "pear"])),
        ("vegetables.*.ediblePortions", json!([["roots", "stalks"], ["roots", "stems", "leaves"], ["hearts"]])),
        ("vegetables.*.colors[0]", json!(["green", "purple", "green"])),
        ("vegetables.*.ediblePortions.*", json!(["roots", "stalks", "roots", "stems", "leaves", "hearts"])),
        ("github.event.issue.labels.*.name", json!(["bug", "help wanted"])),
        ("contains(github.event.issue.labels.*.name, 'BUG')", json!(true)),
        ("github.ref.*", json!([])),
        ("join(fruits.*.name, '+')", json!("apple+orange+pear")),
    ]);
}

#[test]
fn loose_equality() {
    table(&[
        ("'Mona' == 'mona'", json!(true)),
        ("'a' != 'A'", json!(false)),
        ("1 == '1'", json!(true)),
        ("0 == ''", json!(true)),
        ("null == 0", json!(true)),
        ("null == ''", json!(true)),
        ("null == false", json!(true)),
        ("true == 1", json!(true)),
        ("true == '1'", json!(true)),
        ("true == 'true'", json!(false)),
        ("'x' == 0", json!(false)),
        ("'0x10' == 16", json!(true)),
        ("env.time == 3", json!(true)),
        ("fruits == fruits", json!(true)),
        ("fruits == vegetables", json!(false)),
        ("fromJSON('[]') == fromJSON('[]')", json!(false)),
        ("fruits == 'fruits'", json!(false)),
        ("9007199254740993 == 9007199254740993", json!(true)),
    ]);
}

#[test]
fn order_of_values() {
    table(&[
        ("1 < 2", json!(true)),
        ("2 <= 2", json!(true)),
        ("'b' > 'A'", json!(true)),
        ("'10' > 9", json!(true)),
        ("'x' > 0", json!(false)),
        ("'x' <= 0", json!(false)),
        ("true > false", json!(true)),
        ("null >= 0", json!(true)),
        ("null < null", json!(false)),
        ("null <= null", json!(true)),
        ("fruits < 1", json!(false)),
        ("matrix.ratio >= 1.5", json!(true)),
    ]);
}

#[test]
fn logic_returns_operands() {
    table(&[
        ("'a' || 'b'", json!("a")),
        ("'' || 'b'", json!("b")),
        ("0 || null || 'c'", json!("c")),
        ("'' || 0", json!(0)),
        ("'a' && 'b'", json!("b")),
        ("0 && 'b'", json!(0)),
        ("inputs.yes && 'prod' || 'dev'", json!("prod")),
        ("inputs.no && 'prod' || 'dev'", json!("dev")),
        ("!''", json!(true)),
        ("!!'x'", json!(true)),
        ("!0", json!(true)),
        ("!fruits", json!(false)),
        ("! (1 == 2)", json!(true)),
        // Precedence: ! over < over == over && over ||.
        ("true || false && false", json!(true)),
        ("(true || false) && false", json!(false)),
        ("1 < 2 == true", json!(true)),
        ("!false == true", json!(true)),
        ("true || fromJSON('broken')", json!(true)),
        ("false && fromJSON('broken')", json!(false)),
    ]);
}

#[test]
fn functions() {
    table(&[
        ("contains('Hello world', 'llo')", json!(true)),
        ("contains('Hello world', 'LLO')", json!(true)),
        ("contains(fromJSON('[\"push\", \"pull_request\"]'), github.event_name)", json!(true)),
        ("contains(fromJSON('[1, 2]'), '2')", json!(true)),
        ("contains(fruits, 'apple')", json!(false)),
        ("contains(vegetables, 'beets')", json!(false)),
        ("contains(null, '')", json!(true)),
        ("startsWith('Hello world', 'he')", json!(true)),
        ("startsWith('Hello world', 'world')", json!(false)),
        ("startsWith(github.ref, 'refs/tags/')", json!(false)),
        ("startsWith(123, 12)", json!(true)),
        ("endsWith('Hello world', 'LD')", json!(true)),
        ("endsWith(fruits, 'x')", json!(false)),
        ("format('Hello {0} {1} {2}', 'Mona', 'the', 'Octocat')", json!("Hello Mona the Octocat")),
        ("format('{{Hello {0} {1} {2}!}}', 'Mona', 'the', 'Octocat')", json!("{Hello Mona the Octocat!}")),
        ("format('{1}{0}{1}', 1.0, null)", json!("1")),
        ("join(fromJSON('[\"a\", 1, true, null]'), ', ')", json!("a, 1, true, ")),
        ("join(fromJSON('[\"a\", \"b\"]'))", json!("a,b")),
        ("join('text', ', ')", json!("text")),
        ("toJSON(needs.build.result)", json!("\"success\"")),
        ("toJSON(fromJSON('{\"b\":1,\"a\":[true]}'))", json!("{\n  \"b\": 1,\n  \"a\": [\n    true\n  ]\n}")),
        ("TOJSON(null)", json!("null")),
        ("fromJSON('true')", json!(true)),
        ("fromJSON('{\"a\":[1]}').a[0]", json!(1)),
        ("success() && always() && !failure() && !cancelled()", json!(true)),
    ]);
}

#[test]
fn errors_say_where() {
    errors(&[
        ("", 0, "an empty expression"),
        ("  ", 0, "an empty expression"),
        ("a ==", 4, "expected a value, found the end"),
        ("(1", 2, "expected `)`, found the end"),
        ("1 2", 2, "expected an operator or the end, found the number 2"),
        ("github.", 7, "expected a property name or `*` after `.`, found the end"),
        ("github.ref = 'x'", 11, "unexpected character `=`: equality is `==`"),
        ("github.ref == \"x\"", 14, "unexpected character `\"`: strings take single quotes"),
        ("'a' == 'b", 7, "a string that is not closed: ' is missing"),
        ("1.2.3", 0, "`1.2.3` is not a number"),
        ("12ab", 0, "`12ab` is not a number"),
        ("-", 0, "`-` is not a number"),
        ("'x' && contain('a', 'b')", 7, "unknown function `contain`"),
        ("contains('a')", 0, "contains() takes 2 arguments, not 1"),
        ("success(1)", 0, "success() takes no arguments, not 1"),
        ("join()", 0, "join() takes 1 or 2 arguments, not 0"),
        ("github.ref && nope.x", 14, "context `nope` is not available here"),
    ]);
}

#[test]
fn errors_of_functions() {
    errors(&[
        ("format('{0', 1)", 0, "format(): `{` is not closed: write `{{` for a bracket"),
        ("format('{1}', 1)", 0, "format(): `{1}` has no value: there are 1 after the text"),
        ("format('{x}', 1)", 0, "format(): `{x}` is not a placeholder like `{0}`"),
        ("format('a}b')", 0, "format(): a single `}`: write `}}` for a bracket"),
        ("1 == hashFiles('x')", 5, "hashFiles(): there are no files here"),
        ("a[1", 3, "expected `]`, found the end"),
        ("a[]", 2, "expected a value, found `]`"),
        ("a{}", 1, "unexpected character `{`"),
    ]);
    let error = eval("fromJSON('nope')").expect_err("not JSON");
    assert!(error.to_string().starts_with("fromJSON(): not JSON: expected ident"), "{error}");
}

#[test]
fn limits_hold() {
    let deep = format!("{}1{}", "(".repeat(51), ")".repeat(51));
    assert_eq!(eval(&deep).expect_err("deep").kind, ErrorKind::TooDeep);
    assert_eq!(eval(&format!("{}1{}", "(".repeat(50), ")".repeat(50))), Ok(json!(1)));
    assert_eq!(eval(&format!("a{}", ".b".repeat(60))).expect_err("deep").kind, ErrorKind::TooDeep);
    assert_eq!(eval(&"!".repeat(60)).expect_err("deep").kind, ErrorKind::TooDeep);
    assert_eq!(eval(&"a".repeat(21_001)).expect_err("long").kind, ErrorKind::TooLong(21_001));
    // A long chain is not deep.
    assert_eq!(eval(&format!("1{}", " || 1".repeat(4_000))), Ok(json!(1)));
    let bomb = (0..40).fold("'xxxxxxxxxx'".to_owned(), |inner, _| format!("format('{{0}}{{0}}', {inner})"));
    assert_eq!(eval(&bomb).expect_err("bomb").kind, ErrorKind::ResultTooLarge);
    let many = "${{ 1 }} ".repeat(1_002);
    assert_eq!(interpolate(&many, &Env::new(&contexts())).expect_err("many").kind, ErrorKind::TooMany);
}

#[test]
fn interpolation() {
    let contexts = contexts();
    let env = Env::new(&contexts);
    for (text, expected) in [
        ("", ""),
        ("plain $HOME ${x} }} {{", "plain $HOME ${x} }} {{"),
        ("${{ github.ref }}", "refs/heads/main"),
        ("a ${{ github.missing }}b", "a b"),
        ("${{ matrix.node }}/${{ matrix.ratio }}/${{ matrix.whole }}", "14/1.5/2"),
        ("${{ inputs.yes }}${{inputs.no}}", "truefalse"),
        ("${{ fruits[0] }}", r#"{"name":"apple","quantity":1}"#),
        ("${{ '}}' }}", "}}"),
        ("${{ 'it''s }}' }}", "it's }}"),
        ("ü${{ 'é' }}ü", "üéü"),
    ] {
        assert_eq!(interpolate(text, &env).as_deref(), Ok(expected), "{text}");
    }
    for (text, offset, message) in [
        ("ab ${{ github.ref", 3, "`${{` is not closed: `}}` is missing"),
        ("ab ${{ '}}", 3, "`${{` is not closed: `}}` is missing"),
        ("ab ${{ }}", 6, "an empty expression"),
        ("ab ${{ 1 + 1 }}", 9, "unexpected character `+`: there is no arithmetic"),
        ("ab ${{ nope.x }}", 7, "context `nope` is not available here"),
    ] {
        let error = interpolate(text, &env).expect_err(text);
        assert_eq!((error.offset, error.to_string().as_str()), (offset, message), "{text}");
    }
}

#[test]
fn a_single_expression_keeps_its_type() {
    let contexts = contexts();
    let env = Env::new(&contexts);
    assert_eq!(evaluate_template_value("${{ fruits[0].quantity }}", &env), Ok(json!(1)));
    assert_eq!(evaluate_template_value("${{ fromJSON('[1]') }}", &env), Ok(json!([1])));
    assert_eq!(evaluate_template_value(" ${{ 1 }}", &env), Ok(json!(" 1")));
    assert_eq!(evaluate_template_value("text", &env), Ok(json!("text")));
    let known = Template::parse("a ${{ nope.x }}b ${{ github.ref }}").expect("parses").interpolate_known(&env);
    assert_eq!(known, "a b refs/heads/main");
}

#[test]
fn conditions() {
    let contexts = contexts();
    for (text, success, failure, cancelled) in [
        (None, true, false, false),
        (Some(""), true, false, false),
        (Some("true"), true, false, false),
        (Some("github.ref == 'refs/heads/main'"), true, false, false),
        (Some("${{ github.ref == 'refs/heads/main' }}"), true, false, false),
        (Some(" ${{ false }} "), false, false, false),
        (Some("always()"), true, true, true),
        (Some("failure()"), false, true, false),
        (Some("cancelled()"), false, false, true),
        (Some("!cancelled()"), true, true, false),
        (Some("success() || failure()"), true, true, false),
        (Some("failure() && matrix.os == 'linux'"), false, true, false),
    ] {
        for (status, expected) in
            [(Status::SUCCESS, success), (Status::FAILURE, failure), (Status::CANCELLED, cancelled)]
        {
            let env = Env::new(&contexts).with_status(status);
            assert_eq!(condition(text, &env), Ok(expected), "{text:?} {status:?}");
        }
    }
    let error = condition(Some("${{ true }} && false"), &Env::new(&contexts)).expect_err("partial");
    assert_eq!(error.kind, ErrorKind::PartialCondition);
}

#[test]
fn files_come_from_the_host() {
    struct Files;
    impl HashFiles for Files {
        fn hash_files(&self, patterns: &[String]) -> Result<String, String> {
            if patterns[0] == "bad" { Err("no".to_owned()) } else { Ok(patterns.join("|")) }
        }
    }
    let contexts = contexts();
    let env = Env::new(&contexts).with_files(&Files);
    assert_eq!(evaluate("hashFiles('a', '**/b')", &env), Ok(json!("a|**/b")));
    assert_eq!(evaluate("hashFiles('bad')", &env).expect_err("bad").to_string(), "hashFiles(): no");
}

#[test]
fn references_name_roots_and_functions() {
    let references = template_references(
        "x ${{ needs.build.outputs['list'] }} ${{ fruits[matrix.node].name || hashFiles('a') }} ${{ success() }}",
    )
    .expect("parses");
    assert_eq!(references.contexts.iter().map(String::as_str).collect::<Vec<_>>(), ["fruits", "matrix", "needs"]);
    assert!(references.status_functions && references.hash_files);
    assert_eq!(references.expressions, 3);
    let paths: Vec<_> = references.paths.iter().map(|path| (path.offset, path.names.join("."))).collect();
    assert_eq!(
        paths,
        [(6, "needs.build.outputs.list".to_owned()), (41, "fruits.*.name".to_owned()), (48, "matrix.node".to_owned())]
    );
    assert_eq!(template_references("plain").expect("parses").expressions, 0);
    assert!(condition_references("${{ always() }}").expect("parses").status_functions);
}

proptest! {
    #[test]
    fn nothing_panics_and_offsets_are_inside(text in "\\PC{0,60}") {
        check(&text);
    }

    #[test]
    fn near_expressions_do_not_panic(
        parts in proptest::collection::vec(
            proptest::sample::select(vec![
                "github", ".ref", "['x']", "[0]", ".*", "(", ")", "!", "&&", "||", "==", "<", " ", "'a'", "'", "1", "-",
                "1e5", "contains(", "format('{0}', ", "fromJSON(", ",", "${{", "}}", "null", "ü", "fruits", "toJSON(",
            ]),
            0..25,
        )
    ) {
        check(&parts.concat());
    }
}

fn check(text: &str) {
    let contexts = contexts();
    let env = Env::new(&contexts);
    let results = [
        evaluate(text, &env).err(),
        interpolate(text, &env).err(),
        condition(Some(text), &env).err(),
        template_references(text).err(),
        condition_references(text).err(),
    ];
    for error in results.into_iter().flatten() {
        assert!(error.offset <= text.len() && text.is_char_boundary(error.offset), "{text:?}: {error:?}");
    }
}
