//! Expressions in a file: every fault at its exact place.

use super::{JOB, findings, job_table, table};

#[test]
fn places_in_every_kind_of_text() {
    let text = "\
jobs:
  a:
    runs-on: x
    steps:
      - run: |
          echo a
          echo ${{ github.ref = 'x' }}
      - run: \"a \\\" \\u00e9 ${{ nope.x }}\"
      - run: >
          folded
          text ${{ github.x }} ${{ foo() }}

          more
      - run: 'it''s ${{ contain('''') }}'
      - run: plain
          continued ${{ github.ref
      - run: |2+ # c
           ${{ contains('a') }}
";
    let expected = [
        "w.yml:7:31: error: expression: unexpected character `=`: equality is `==`",
        "w.yml:8:31: error: context `nope` is unknown in a step (available: env, github, inputs, job, matrix, needs, \
         runner, secrets, steps, strategy, vars)",
        "w.yml:11:36: error: expression: unknown function `foo`",
        "w.yml:14:25: error: expression: unknown function `contain` (did you mean `contains`?)",
        "w.yml:16:21: error: expression: `${{` is not closed: `}}` is missing",
        "w.yml:18:16: error: expression: contains() takes 2 arguments, not 1",
    ];
    assert_eq!(findings(text), expected);
}

#[test]
fn contexts_and_functions_by_place() {
    let step = "steps:\n  - run: echo";
    job_table(&[
        (
            &format!("runs-on: x\nif: env.A == 'b'\n{step}"),
            &["4:9: error: context `env` is not available in if of a job (available: github, inputs, needs, vars)"],
        ),
        (
            &format!("runs-on: ${{{{ steps.x.y }}}}\n{step}"),
            &[
                "3:18: error: context `steps` is not available in the job (available: github, inputs, matrix, needs, strategy, vars)",
            ],
        ),
        (
            &format!("runs-on: x\nname: ${{{{ githb.ref }}}}\n{step}"),
            &[
                "4:15: error: context `githb` is unknown in the job (available: github, inputs, matrix, needs, strategy, vars) \
               (did you mean `github`?)",
            ],
        ),
        (
            &format!("runs-on: x\nenv: {{A: \"${{{{ success() }}}}\"}}\n{step}"),
            &["4:19: error: success() is not available in env of a job"],
        ),
        (
            &format!("runs-on: x\nif: hashFiles('x') != ''\n{step}"),
            &["4:9: error: hashFiles() is not available in if of a job"],
        ),
        (
            "runs-on: x\nsteps:\n  - if: always() && hashFiles('x') && runner.os == 'x'\n    run: echo ${{ hashFiles('x') }}",
            &[],
        ),
        (
            "runs-on: x\nsteps:\n  - if: secrets.X\n    run: echo\n    timeout-minutes: ${{ steps.x.outputs.y }}",
            &[
                "5:13: error: context `secrets` is not available in if of a step (available: env, github, inputs, job, \
                 matrix, needs, runner, steps, strategy, vars)",
                "7:30: error: context `steps` is not available in this setting of a step (available: env, github, inputs, \
                 matrix, needs, strategy, vars)",
            ],
        ),
    ]);
    table(&[(
        &format!("env:\n  A: ${{{{ env.B }}}}\njobs:\n{JOB}"),
        &[
            "2:10: error: context `env` is not available in env of the workflow (available: github, inputs, secrets, vars)",
        ],
    )]);
}

#[test]
fn conditions() {
    job_table(&[
        (
            "runs-on: x\nif: ${{ github.ref }} == 'x'\nsteps:\n  - run: echo",
            &[
                "4:9: error: expression: put the whole condition in one `${{ }}`, or leave `${{ }}` out: text beside it \
               would make it always true",
            ],
        ),
        (
            "runs-on: x\nsteps:\n  - run: echo\n    if: |\n      always() &&\n      (github.ref",
            &["8:22: error: expression: expected `)`, found the end"],
        ),
        ("runs-on: x\nsteps:\n  - {run: echo, if: true}\n  - {run: echo, if: \"${{ !cancelled() }}\"}", &[]),
        (
            "runs-on: x\nsteps:\n  - {run: echo, if: !failure()}",
            &["5:25: error: tag `!failure()` is not supported: quote a text that starts with `!`"],
        ),
    ]);
}

#[test]
fn names_that_are_always_empty() {
    job_table(&[
        (
            "runs-on: x\nstrategy: {matrix: {os: [l], include: [{extra: 1}]}}\nsteps:\n  - id: build\n    run: \
             echo ${{ steps.biuld.outputs.x }} ${{ matrix.OS }} ${{ matrix.extra }} ${{ matrix.so }} ${{ needs.b.result }} \
             ${{ inputs.x }}",
            &[
                "7:23: warning: step id `biuld` is not in the job: this is always empty (did you mean `build`?)",
                "7:89: warning: key `so` is not in the job's matrix: this is always empty (did you mean `os`?)",
                "7:106: warning: job `b` is not in the job's `needs`: this is always empty",
                "7:128: warning: input `x` is not under `on.workflow_dispatch.inputs`: this is always empty",
            ],
        ),
        (
            "runs-on: x\nstrategy: {matrix: '${{ fromJSON(vars.M) }}'}\nsteps:\n  - run: echo ${{ matrix.any }} ${{ steps[matrix.x].outcome }}",
            &[],
        ),
    ]);
}
