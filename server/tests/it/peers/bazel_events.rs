//! Bazel that tells its builds by events: what a person then sees of them.

use std::time::Duration;

use millrace_bench::wire::millrace_v1::invocation_service_client::InvocationServiceClient;
use millrace_bench::wire::millrace_v1::{
    GetInvocationRequest, Invocation, InvocationStatus, InvocationTarget, ListInvocationTargetsRequest,
    ListInvocationsRequest, ReadLinesRequest, TargetStatus,
};

use super::bazel::Bazel;
use crate::app::{TestApp, Wire, within};

/// A genrule and a test that fail, each alone.
const FAILING: &str = r#"
genrule(name = "breaks", outs = ["breaks.txt"], cmd = "echo why it broke >&2; exit 3")
sh_test(name = "fails_test", srcs = ["fails.sh"])
genrule(name = "slow", outs = ["slow.txt"], cmd = "touch $$SLOW_STARTED; sleep 300; touch $@")
"#;

struct Scene {
    test: TestApp,
    bazel: Bazel,
}

impl Scene {
    async fn new() -> Self {
        let test = TestApp::open().await;
        let bazel = Bazel::new(&test);
        let file = bazel.workspace.join("BUILD");
        let build = std::fs::read_to_string(&file).expect("a BUILD file") + FAILING;
        std::fs::write(file, build).expect("writes");
        let script = bazel.workspace.join("fails.sh");
        std::fs::write(&script, "#!/bin/sh\necho this test fails\nexit 1\n").expect("writes");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(script, mode).expect("is executable");
        Self { test, bazel }
    }

    fn flags(&self) -> [String; 4] {
        let address = self.test.address();
        [
            format!("--bes_backend=grpc://{address}"),
            format!("--bes_results_url={}/invocations/", self.test.url),
            "--project_id=team/app".into(),
            "--symlink_prefix=/".into(),
        ]
    }

    /// Runs a command with events; gives back its exit code, what it said, and its invocation's id.
    async fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let flags = self.flags();
        let arguments = [arguments, &flags.each_ref().map(String::as_str)].concat();
        let said = self.bazel.run(&arguments).await;
        let all = said.all();
        let link = format!("{}/invocations/", self.test.url);
        let id = all.split(&link).nth(1).and_then(|rest| rest.split_whitespace().next());
        (said.code, all.clone(), id.unwrap_or_else(|| panic!("no link in {all}")).to_owned())
    }

    fn client(&self) -> InvocationServiceClient<Wire> {
        InvocationServiceClient::new(self.test.wire())
    }

    /// The invocation once it is as wanted.
    async fn invocation(&self, id: &str, wanted: impl Fn(&Invocation) -> bool) -> Invocation {
        within("the invocation", async {
            loop {
                let found = self.client().get_invocation(GetInvocationRequest { id: id.into() }).await;
                if let Some(invocation) = found.ok().and_then(|found| found.into_inner().invocation)
                    && wanted(&invocation)
                {
                    return invocation;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await
    }

    async fn targets(&self, id: &str) -> Vec<InvocationTarget> {
        let request = ListInvocationTargetsRequest { id: id.into(), ..Default::default() };
        self.client().list_invocation_targets(request).await.expect("targets").into_inner().targets
    }

    async fn printed(&self, log_id: &str) -> (String, bool) {
        let request = ReadLinesRequest { log_id: log_id.into(), text: true, ..Default::default() };
        let lines = self.test.logs().read_lines(request).await.expect("lines").into_inner();
        (lines.rows.join("\n"), lines.complete)
    }

    async fn end(self) {
        self.bazel.end().await;
        self.test.close().await;
    }
}

#[tokio::test]
async fn bazel_builds_are_shown_as_they_went() {
    let scene = Scene::new().await;
    let cache = format!("--remote_cache=grpc://{}", scene.test.address());

    let arguments = ["test", "//...", "--", "-//:breaks", "-//:fails_test", "-//:slow"];
    let flags = scene.flags();
    let with_flags: Vec<&str> =
        [&arguments[..1], &flags.each_ref().map(String::as_str), &[cache.as_str()], &arguments[1..]].concat();
    let said = scene.bazel.run(&with_flags).await;
    assert_eq!(said.code, 0, "{}", said.all());
    assert!(!said.err.contains("Build Event Protocol upload failed"), "{}", said.all());
    let list = ListInvocationsRequest { instance: Some("team/app".into()), ..Default::default() };
    let listed = scene.client().list_invocations(list).await.expect("a list").into_inner().invocations;
    assert_eq!(listed.len(), 1);
    let good = scene.invocation(&listed[0].id, |one| one.complete && one.lifecycle.len() == 4).await;
    assert_eq!(good.status(), InvocationStatus::Succeeded, "{good:#?}");
    assert_eq!((good.exit_code, good.command.as_str(), good.instance.as_str()), (Some(0), "test", "team/app"));
    assert!(!good.user.is_empty() && !good.host.is_empty() && good.command_line.contains(&"test".into()));
    let (targets, tests) = (good.targets.unwrap(), good.tests.unwrap());
    assert!(targets.built > 25 && targets.built == targets.configured, "{targets:?}");
    assert_eq!((tests.total, tests.passed), (1, 1));
    assert!(good.cache.unwrap().actions_executed > 30 && good.timing.unwrap().wall_ms > 0);
    let (printed, ended) = scene.printed(&good.log_id).await;
    assert!(ended && printed.contains("PASSED in") && printed.contains("said on stdout"), "{printed}");
    let all = scene.targets(&good.id).await;
    let greeting = all.iter().find(|target| target.label == "//:greeting_test").expect("the test");
    assert_eq!(greeting.status(), TargetStatus::Passed);
    let log = &greeting.test.as_ref().unwrap().attempts[0].outputs[0];
    assert_eq!((log.name.as_str(), log.instance.as_str()), ("test.log", ""), "{log:?}");
    assert!(log.uri.starts_with("bytestream://") && log.hash.len() == 64, "{log:?}");

    let (code, all, id) = scene.run(&["build", "//:breaks"]).await;
    assert_eq!(code, 1, "{all}");
    let broken = scene.invocation(&id, |one| one.complete).await;
    assert_eq!((broken.status(), broken.exit_code_name.as_str()), (InvocationStatus::Failed, "BUILD_FAILURE"));
    assert_eq!((broken.failed_actions[0].label.as_str(), broken.targets.unwrap().failed), ("//:breaks", 1));
    assert!(scene.printed(&broken.log_id).await.0.contains("why it broke"));

    let (code, all, id) = scene.run(&["test", "//:fails_test"]).await;
    assert_eq!(code, 3, "{all}");
    let failed = scene.invocation(&id, |one| one.complete).await;
    assert_eq!((failed.status(), failed.message.as_str()), (InvocationStatus::Failed, "1 test did not pass"));
    let targets = scene.targets(&id).await;
    assert_eq!((targets[0].label.as_str(), targets[0].status()), ("//:fails_test", TargetStatus::Failed));
    scene.end().await;
}
