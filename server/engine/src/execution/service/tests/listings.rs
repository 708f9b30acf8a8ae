//! Operations and executions by name and in lists.

use super::*;

#[tokio::test]
async fn names_are_found_in_their_instance_only() {
    let scene = scene().await;
    let action = scene.salted("a").await;
    let watch = scene.execute(action).await.expect("is taken");
    let id = watch.state().id;
    let other = InstanceName::parse("other").expect("a name");
    let joined = format!("{id}.1");
    for (instance, name) in [(&other, id.as_str()), (&scene.main, "x"), (&scene.main, joined.as_str())] {
        assert!(matches!(scene.execution.get(instance, name).await, Err(Error::NotFound(_))), "{instance} {name}");
    }
    assert!(scene.execution.get(&scene.main, &id).await.is_ok());
    scene.execution.delete(&scene.main, &id).await.expect("deletes");
    assert!(matches!(scene.execution.get(&scene.main, &id).await, Err(Error::NotFound(_))));
    assert!(scene.claim("").await.is_some(), "it is not stopped");
}

#[tokio::test]
async fn lists_are_newest_first_in_pages_and_hold_what_is_done() {
    let scene = scene().await;
    let mut ids = Vec::new();
    for salt in ["a", "b", "c", "d"] {
        let action = scene.salted(salt).await;
        ids.push(scene.execute(action).await.expect("is taken").state().id);
    }
    let joined = scene.execute(scene.salted("d").await).await.expect("joins").state().id;
    let lease = scene.claim("").await.expect("a lease");
    scene.finish(&lease, exited(0)).await.expect("is taken");
    assert_eq!(lease.execution_id, ids[0]);

    let mut found = Vec::new();
    let mut query = OperationQuery { page_size: 2, instance: Some(scene.main.clone()), ..Default::default() };
    loop {
        let page = scene.execution.list(query.clone()).await.expect("lists");
        assert!(page.items.len() <= 2);
        found.extend(page.items.into_iter().map(|item| item.id));
        if page.next_page_token.is_empty() {
            break;
        }
        query.page_token = page.next_page_token;
    }
    assert_eq!(found, [&ids[3], &joined, &ids[2], &ids[1], &ids[0]].map(Clone::clone));

    let done = OperationQuery { done: Some(true), ..Default::default() };
    let done: Vec<String> =
        scene.execution.list(done).await.expect("lists").items.into_iter().map(|item| item.id).collect();
    assert_eq!(done, [ids[0].clone()]);

    let queued = ExecutionQuery { stages: vec![Stage::Queued], page_size: 2, ..Default::default() };
    let page = scene.execution.executions(queued.clone()).await.expect("lists");
    assert_eq!(page.items.iter().map(|item| &item.id).collect::<Vec<_>>(), [&ids[3], &ids[2]]);
    assert_eq!(page.items[0].operations.len(), 2);
    assert_eq!(page.items[0].command, "/bin/true -x");
    let rest = ExecutionQuery { page_token: page.next_page_token, ..queued };
    let page = scene.execution.executions(rest).await.expect("lists");
    assert_eq!(page.items.iter().map(|item| &item.id).collect::<Vec<_>>(), [&ids[1]]);
    assert!(page.next_page_token.is_empty());
    let elsewhere = ExecutionQuery { instance: Some(InstanceName::default()), ..Default::default() };
    assert!(scene.execution.executions(elsewhere).await.expect("lists").items.is_empty());
}

#[tokio::test]
async fn administrators_move_reprioritize_and_cancel() {
    let scene = scene().await;
    let action = scene.salted("a").await;
    let mut watch = scene.execute(action).await.expect("is taken");
    let id = watch.state().execution_id;
    assert_eq!(scene.execution.reprioritize(&id, -4).await.expect("changes").priority, -4);
    assert_eq!(scene.execution.move_to(&id, "os=linux").await.expect("moves").platform, "os=linux");
    assert!(matches!(scene.execution.move_to(&id, "nowhere").await, Err(Error::NotFound(_))));
    assert_eq!(scene.execution.cancel_execution(&id).await.expect("cancels").stage, Stage::Done);
    assert_eq!(code(&end(&mut watch).await), Code::CANCELLED as i32);
    assert!(matches!(scene.execution.cancel_execution(&id).await, Err(Error::Precondition(_))));
    assert!(matches!(scene.execution.execution("x").await, Err(Error::NotFound(_))));
}
