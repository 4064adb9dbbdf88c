//! What a task's manifest may say.

use super::*;

/// The least that is valid, with `fields` of `spec.task` and of the container.
fn task(fields: &str, container: &str) -> String {
    format!(
        "apiVersion: casemate.io/v1\nkind: Task\nmetadata: {{name: nightly}}\nspec:\n  task: \
         {{{fields}}}\n  containers:\n  - name: app\n    image: app:1\n    resources: {{cpu: 1, \
         memory: 64Mi, storage: 1Mi}}\n{container}"
    )
}

const LEAST: &str = "deadlineSeconds: 60, runBudget: \"0.5\"";

fn refused(fields: &str, container: &str) -> String {
    Manifest::parse(&task(fields, container)).unwrap_err().to_string()
}

#[test]
fn the_least_and_the_most() {
    let least = Manifest::parse(&task(LEAST, "")).unwrap();
    let spec = least.spec.task.clone().unwrap();
    assert_eq!((spec.retries, spec.backoff_seconds, spec.start_seconds_max), (0, 1, 300));
    assert_eq!((spec.schedule, spec.run_budget.as_str()), (None, "0.5"));
    let fields = format!(
        "{LEAST}, schedule: {{cron: '0 3 * * 1', timeZone: Europe/Berlin}}, startSecondsMax: 60, \
         retries: 3, backoffSeconds: 5, artefacts: [/out/report.csv]"
    );
    let most = Manifest::parse(&task(&fields, "")).unwrap();
    let spec = most.spec.task.clone().unwrap();
    assert_eq!(spec.artefacts, ["/out/report.csv"]);
    assert_eq!(spec.schedule.unwrap().time_zone.as_deref(), Some("Europe/Berlin"));
    for manifest in [least, most] {
        let again = Manifest::from_json(&manifest.to_canonical_json()).unwrap();
        assert_eq!(again, manifest);
    }
}

#[test]
fn a_task_has_terms_and_a_service_none() {
    let text = MINIMAL.replace("kind: Service", "kind: Task");
    let err = Manifest::parse(&text).unwrap_err().to_string();
    assert!(err.contains("a Task without `task`"), "{err}");
    let text = task(LEAST, "").replace("kind: Task", "kind: Service");
    let err = Manifest::parse(&text).unwrap_err().to_string();
    assert!(err.contains("`task` in a Service"), "{err}");
}

#[test]
fn what_means_nothing_in_a_task_is_refused() {
    for (container, what) in [
        ("    ports: [{containerPort: 80}]\n", "nobody is routed"),
        ("    readinessProbe: {tcpSocket: {port: 80}}\n", "its exit code"),
        ("    livenessProbe: {tcpSocket: {port: 80}}\n", "its exit code"),
        (
            "  - name: other\n    image: app:1\n    resources: {cpu: 1, memory: 64Mi, storage: \
             1Mi}\n",
            "one container in a Task",
        ),
        ("  restartPolicy: Never\n", "`task.retries` says"),
    ] {
        let err = refused(LEAST, container);
        assert!(err.contains(what), "{container}: {err}");
    }
}

#[test]
fn bad_values_are_refused_with_what_is_allowed() {
    let with = |more: &str| refused(&format!("{LEAST}, {more}"), "");
    for (found, allowed) in [
        (refused("deadlineSeconds: 0, runBudget: \"1\"", ""), "a number from 1 to 2592000"),
        (refused("deadlineSeconds: 1, runBudget: \"0.0\"", ""), "an amount above zero"),
        (refused("deadlineSeconds: 1, runBudget: \"-1\"", ""), "an amount above zero"),
        (refused("deadlineSeconds: 1, runBudget: \"1e3\"", ""), "an amount above zero"),
        (with("startSecondsMax: 0"), "a number from 1 to 2592000"),
        (with("retries: 101"), "a number from 0 to 100"),
        (with("backoffSeconds: 3601"), "a number from 0 to 3600"),
        (with("artefacts: [out]"), "an absolute path"),
        (with("artefacts: [/a/../etc/shadow]"), "an absolute path"),
        (with("artefacts: [/a, /a]"), "each artefact once"),
        (with("schedule: {}"), "exactly one of `every: SECONDS`"),
        (with("schedule: {every: 10, cron: '* * * * *'}"), "exactly one of"),
        (with("schedule: {every: 9}"), "a number from 10"),
        (with("schedule: {every: 10, timeZone: UTC}"), "only `cron` has one"),
        (with("schedule: {cron: '* * * *'}"), "five fields"),
        (with("schedule: {cron: '* * * * *', timeZone: 'a b'}"), "tz database"),
    ] {
        assert!(found.contains(allowed), "`{allowed}` is not in: {found}");
    }
}
