//! Keys, types and values at every place of a file.

use super::super::{InputType, RunsOn, Setting, StepAction};
use super::{JOB, concat, job_table, parsed, table};

#[test]
fn unknown_and_missing_keys() {
    table(&[
        ("name: x\n", &["1:1: error: a workflow needs `jobs` with at least one job"]),
        ("name: x\njobs:\n", &["2:1: error: a workflow needs `jobs` with at least one job"]),
        ("jobs: {}\n", &["1:7: error: a workflow needs at least one job"]),
        ("jobs: []\n", &["1:7: error: `jobs`: expected a map, found a list"]),
        ("jobs:\n  a: echo\n", &["2:6: error: job `a`: expected a map, found a string"]),
        ("jobs:\n  a:\n    name: x\n", &["2:3: error: job `a` needs `runs-on`", "2:3: error: job `a` needs `steps`"]),
        (&format!("nmae: x\njobs:\n{JOB}"), &["1:1: error: unknown key `nmae` in the workflow (did you mean `name`?)"]),
        (&format!("jobs:\n{JOB}<<: {{}}\n"), &["6:1: error: not yet supported: merge keys (`<<`)"]),
        (
            &format!("concurrency: x\npermissions: read-all\njobs:\n{JOB}"),
            &[
                "1:1: error: not yet supported: `concurrency` of the workflow",
                "2:1: warning: not yet supported: `permissions` has no effect, jobs get no repository token",
            ],
        ),
        (
            &format!("name: x\nname: y\njobs:\n{JOB}"),
            &["2:1: error: key `name` stands here a second time, first in line 1"],
        ),
    ]);
    job_table(&[
        (
            "run-on: x\nsteps:\n  - run: echo",
            &[
                "2:3: error: job `a` needs `runs-on`",
                "3:5: error: unknown key `run-on` in job `a` (did you mean `runs-on`?)",
            ],
        ),
        (
            "runs-on: x\ncontainer: y\nservices: {}\nconcurrency: z\nsteps:\n  - run: echo",
            &[
                "4:5: error: not yet supported: `container` of job `a`",
                "5:5: error: not yet supported: `services` of job `a`",
                "6:5: error: not yet supported: `concurrency` of job `a`",
            ],
        ),
        (
            "runs-on: x\nuses: ./.github/workflows/x.yml\nsecrets: inherit",
            &[
                "4:5: error: not yet supported: `uses` of job `a`",
                "5:5: error: not yet supported: `secrets` of job `a`",
            ],
        ),
    ]);
}

#[test]
fn wrong_types() {
    table(&[
        (&format!("name: [x]\njobs:\n{JOB}"), &["1:7: error: `name`: expected a string, found a list"]),
        (&format!("env: x\njobs:\n{JOB}"), &["1:6: error: `env`: expected a map, found a string"]),
        (&format!("env:\n  A: {{}}\njobs:\n{JOB}"), &["2:6: error: `env.A`: expected a string, found a map"]),
        (&format!("env:\n  A=B: x\njobs:\n{JOB}"), &["2:3: error: `A=B` is not a name for an environment variable"]),
        (
            &format!("env:\n  PYTHON: 3.10\n  PORT: 8080\n  FLAG: true\njobs:\n{JOB}"),
            &["2:11: warning: `3.10` is a number and becomes `3.1`: quote it to keep it"],
        ),
    ]);
    job_table(&[
        (
            "runs-on: x\ntimeout-minutes: soon\nsteps:\n  - run: echo",
            &["4:22: error: `timeout-minutes`: expected a number or an expression, found a string"],
        ),
        (
            "runs-on: x\ntimeout-minutes: 0\nsteps:\n  - run: echo",
            &["4:22: error: `timeout-minutes`: 0 is not above 0 and at most 50400"],
        ),
        (
            "runs-on: x\ncontinue-on-error: maybe\nsteps:\n  - run: echo",
            &["4:24: error: `continue-on-error`: expected true, false or an expression, found a string"],
        ),
        ("runs-on: x\nsteps: echo", &["4:12: error: `steps`: expected a list, found a string"]),
        ("runs-on: x\nsteps: []", &["4:12: error: `steps` is an empty list"]),
        ("runs-on: []\nsteps:\n  - run: echo", &["3:14: error: `runs-on` is an empty list"]),
        (
            "runs-on: {group: big, labels: x}\nsteps:\n  - run: echo",
            &["3:15: error: not yet supported: `group` of runs-on"],
        ),
        ("runs-on: {labels: [x, y]}\nsteps:\n  - run: echo", &[]),
        (
            "runs-on: x\noutputs: [a]\nenvironment: {url: x}\nsteps:\n  - run: echo",
            &["4:14: error: `outputs`: expected a map, found a list", "5:18: error: `environment`: `name` is missing"],
        ),
        (
            "runs-on: x\nenvironment: {name: prod, approval: require}\nsteps:\n  - run: echo",
            &["4:41: error: `approval`: expected required or none, found `require` (did you mean `required`?)"],
        ),
    ]);
}

#[test]
fn ids() {
    table(&[
        (
            &format!("jobs:\n{}", JOB.replacen("a:", "1a:", 1)),
            &["2:3: error: job id `1a`: must start with a letter or `_`, then letters, digits, `_` or `-`"],
        ),
        (
            &format!("jobs:\n{JOB}{}", JOB.replacen("a:", "A:", 1)),
            &["6:3: error: job ids `a` and `A` differ only in case"],
        ),
    ]);
    job_table(&[(
        "runs-on: x\nsteps:\n  - {run: echo, id: one}\n  - {run: echo, id: One}\n  - {run: echo, id: a b}",
        &[
            "6:25: error: step id `One` stands here a second time in its job",
            "7:25: error: step id `a b`: must start with a letter or `_`, then letters, digits, `_` or `-`",
        ],
    )]);
}

#[test]
fn steps() {
    job_table(&[
        (
            "runs-on: x\nsteps:\n  - name: nothing\n  - run: echo\n    uses: actions/checkout@v4\n  - uses: actions/checkout",
            &["5:9: error: a step needs `run` or `uses`", "7:15: error: a step has `run` or `uses`, not both"],
        ),
        (
            "runs-on: x\nsteps:\n  - uses: actions/setup-node@v4\n    with: {node-version: 20}\n  - uses: action/checkout@v4",
            &[
                "5:15: error: not yet supported: `uses: actions/setup-node@v4` (built in is only `actions/checkout`)",
                "7:15: error: not yet supported: `uses: action/checkout@v4` (built in is only `actions/checkout`) \
                 (did you mean `actions/checkout`?)",
            ],
        ),
        (
            "runs-on: x\nsteps:\n  - uses: actions/checkout@v4\n    shell: bash\n    with:\n      pth: src\n      submodules: true\n      fetch-depth: 0",
            &[
                "6:9: error: `shell` belongs to `run`, not to `uses`",
                "8:11: error: unknown key `pth` in the inputs of actions/checkout (did you mean `path`?)",
                "9:11: error: not yet supported: `submodules` of the inputs of actions/checkout",
            ],
        ),
        (
            "runs-on: x\nsteps:\n  - run: echo\n    with: {a: b}\n    shell: bsh\n  - {run: echo, shell: 'perl {0}'}",
            &[
                "6:9: error: `with` belongs to `uses`: a script takes its values from `env`",
                "7:16: error: unknown shell `bsh`: expected bash, sh, pwsh, powershell, cmd, python, or a command line \
                 with `{0}` for the script file (did you mean `bash`?)",
            ],
        ),
    ]);
}

#[test]
fn triggers() {
    let with = |on: &str| format!("on: {on}\njobs:\n{JOB}");
    table(&[
        (&with("push"), &[]),
        (&with("[push, workflow_dispatch]"), &[]),
        (&with("[push, pull_request]"), &["1:12: warning: not yet supported: event `pull_request` starts no runs"]),
        (&with("pushed"), &["1:5: error: unknown event `pushed` (did you mean `push`?)"]),
        (&with("{push: {branch: main}}"), &["1:13: error: unknown key `branch` in push (did you mean `branches`?)"]),
        (
            &with("{push: {branches: [main], branches-ignore: [x]}}"),
            &["1:31: error: `branches` and `branches-ignore` exclude each other"],
        ),
        (&with("schedule"), &["1:5: error: `schedule` needs a list of `cron` lines"]),
        (&with("{schedule: [{cron: '0 25 * * *'}]}"), &["1:27: error: cron: `25` is no hour (0 to 23)"]),
        (&with("{schedule: [{}]}"), &["1:17: error: `schedule`: `cron` is missing"]),
        (
            &with("{release: {types: [published]}}"),
            &["1:6: warning: not yet supported: event `release` starts no runs"],
        ),
    ]);
    let workflow = parsed(&with("{push: {branches: main, tags: ['v*']}, schedule: [{cron: '0 4 * * MON-FRI'}]}"));
    let push = workflow.triggers.push.expect("push");
    assert_eq!((push.branches, push.tags), (Some(vec!["main".to_owned()]), Some(vec!["v*".to_owned()])));
    assert_eq!(workflow.triggers.schedule, ["0 4 * * MON-FRI"]);
    assert!(!workflow.triggers.dispatch);
}

#[test]
fn definitions_of_inputs() {
    let with = |input: &str| format!("on:\n  workflow_dispatch:\n    inputs:\n      x: {input}\njobs:\n{JOB}");
    table(&[
        (
            &with("{type: text}"),
            &["4:17: error: `type`: expected one of string, boolean, number, choice, environment, found `text`"],
        ),
        (
            &with("{type: bolean}"),
            &[
                "4:17: error: `type`: expected one of string, boolean, number, choice, environment, found `bolean` (did you mean `boolean`?)",
            ],
        ),
        (&with("{type: choice}"), &["4:17: error: input `x`: a choice needs `options`"]),
        (&with("{type: number, default: many}"), &["4:34: error: `default`: expected a number, found `many`"]),
        (
            &with("{type: choice, options: [a, b], default: c}"),
            &["4:51: error: `default`: expected one of `a`, `b`, found `c`"],
        ),
        (&with("{type: string, options: [a]}"), &["4:25: error: input `x`: only a choice has `options`"]),
        (&with("{required: perhaps}"), &["4:21: error: `required`: expected true or false, found a string"]),
        (&with("{desc: x}"), &["4:11: error: unknown key `desc` in input `x`"]),
    ]);
    let workflow = parsed(&with("{type: choice, options: [a, 1], default: 1}"));
    assert_eq!(workflow.triggers.inputs["x"].kind, InputType::Choice(vec!["a".into(), "1".into()]));
    let inputs = concat((0..26).map(|input| format!("      i{input}:\n")));
    let text = format!("on:\n  workflow_dispatch:\n    inputs:\n{inputs}jobs:\n{JOB}");
    table(&[(&text, &["4:7: error: 26 inputs, over the limit of 25"])]);
}

#[test]
fn a_whole_file_is_understood() {
    let workflow = parsed(
        "name: CI\nrun-name: by ${{ github.actor }}\non: push\nenv: {A: 1, B: ''}\n\
         defaults: {run: {shell: sh, working-directory: src}}\n\
         jobs:\n  test:\n    needs: build\n    name: Test\n    runs-on: [self-hosted, linux]\n    if: success()\n    \
         timeout-minutes: 1.5\n    continue-on-error: true\n    outputs: {o: '${{ steps.s.outputs.o }}'}\n    \
         environment: {name: prod, url: 'https://x', approval: required}\n    steps:\n      - &s\n        id: s\n        \
         run: echo\n        timeout-minutes: 2\n      - uses: actions/checkout@v4\n        with: {path: p, fetch-depth: 0}\n  \
         build: {runs-on: '${{ fromJSON(vars.LABELS) }}', steps: [{run: make}]}\n",
    );
    assert_eq!(workflow.jobs.keys().collect::<Vec<_>>(), ["build", "test"]);
    assert!(matches!(workflow.jobs["build"].runs_on, RunsOn::Expression(_)));
    let test = workflow.job("test").expect("test");
    assert_eq!((test.stage, test.needs.as_slice()), (1, ["build".to_owned()].as_slice()));
    assert_eq!(test.timeout_ms, Setting::Fixed(90_000));
    assert_eq!(workflow.jobs["build"].timeout_ms, Setting::Fixed(360 * 60_000));
    assert!(test.environment.as_ref().is_some_and(|environment| environment.approval_required));
    assert_eq!(test.steps[0].timeout_ms, Some(Setting::Fixed(120_000)));
    let StepAction::Checkout { uses, with } = &test.steps[1].action else { panic!("{:?}", test.steps[1]) };
    assert_eq!((uses.as_str(), with["fetch-depth"].text.as_str()), ("actions/checkout@v4", "0"));
}
