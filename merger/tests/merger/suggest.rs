//! Suggestions: words of the scope's own documents, and of nobody else's.

use nautilus_proto::search::v1::{SuggestRequest, SuggestResponse};
use tonic::Code;

use crate::fake_root::Meanwhile;
use crate::system::{System, apart, fields_of, namespace_name, partition_of, reason_of, user_id};

fn begin(text: &str) -> SuggestRequest {
    SuggestRequest { text: text.into(), ..SuggestRequest::default() }
}

fn words(response: &SuggestResponse) -> Vec<(&str, u64)> {
    response.suggestions.iter().map(|one| (one.word.as_str(), one.documents)).collect()
}

#[tokio::test]
async fn the_last_word_is_completed_from_ones_own_words() {
    let system = System::start().await;
    system.user("ada").await;
    let (first, second) = apart();
    let one = system.namespace(&first, "ada").await;
    let two = system.namespace(&second, "ada").await;
    system.feed(&one, "a", "Kernel", "kern of truth");
    system.feed(&two, "b", "", "the kernel and the kernel again");
    system.user("bob").await;
    let secret = system.namespace("secret", "bob").await;
    system.feed(&secret, "x", "", "kernelsecret kernel");

    let response = system.suggest("ada", begin("Linux KERN")).await.expect("words");
    assert_eq!(words(&response), [("kernel", 2), ("kern", 1)]);
    assert_eq!(response.suggestions[0].text, "Linux kernel");
    let coverage = response.coverage.expect("always");
    assert!(coverage.complete && coverage.partitions_answered == 2);
    let asked = system.root.state().suggests[0].clone();
    assert_eq!((asked.prefix.as_str(), asked.fields, asked.limit), ("kern", 0b111, 200));

    let only = SuggestRequest { namespaces: vec![first.clone()], page_size: 1, ..begin("ke") };
    let response = system.suggest("ada", only).await.expect("words");
    assert_eq!(words(&response), [("kern", 1)]);
    assert_eq!(system.root.state().suggests[1].limit, 1, "one partition knows for itself");
    let nothing = system.suggest("ada", begin("kernel ")).await.expect("an answer");
    assert!(nothing.suggestions.is_empty() && nothing.coverage.expect("always").complete);
    assert_eq!(system.root.state().suggests.len(), 2, "nothing to ask for");

    let theirs = SuggestRequest { namespaces: vec!["secret".into()], ..begin("ke") };
    let status = system.suggest("ada", theirs).await.expect_err("denied");
    assert_eq!((status.code(), &*reason_of(&status)), (Code::PermissionDenied, "NAMESPACE_DENIED"));
    let status = system.suggest("ada", begin(&"x".repeat(2_049))).await.expect_err("too long");
    assert_eq!(fields_of(&status), ["text"]);

    let lost = partition_of(&second);
    system.root.state().failures.insert(lost, "LEAF_UNAVAILABLE");
    let status = system.suggest("ada", begin("ke")).await.expect_err("a part is missing");
    assert_eq!(reason_of(&status), "PARTIAL_COVERAGE");
    let partly = SuggestRequest { allow_partial: true, ..begin("ke") };
    let response = system.suggest("ada", partly).await.expect("a part");
    assert!(!response.coverage.as_ref().expect("always").complete);
    assert_eq!(words(&response), [("kern", 1), ("kernel", 1)]);
    system.stop().await;
}

#[tokio::test]
async fn a_namespace_withdrawn_meanwhile_does_not_contribute() {
    let system = System::start().await;
    system.with_foxes().await;
    system.user("bob").await;
    let team = system.namespace("team", "bob").await;
    system.feed(&team, "bobs", "", "fox foxglove");
    system.share("team", "ada").await;
    let revoked = || Meanwhile::Revoked { user: user_id("ada"), namespace: namespace_name("team") };
    system.root.state().meanwhile = Some(revoked());
    let response = system.suggest("ada", begin("fox")).await.expect("words");
    assert_eq!(words(&response), [("fox", 2)], "neither its word nor its count");
    assert_eq!(system.root.state().suggests.len(), 2);

    system.share("team", "ada").await;
    system.root.state().meanwhile = Some(revoked());
    let only = SuggestRequest { namespaces: vec!["team".into()], ..begin("fox") };
    let response = system.suggest("ada", only).await.expect("an answer");
    assert!(response.suggestions.is_empty());
    system.root.state().meanwhile = Some(Meanwhile::CatalogDown);
    let status = system.suggest("ada", begin("fox")).await.expect_err("no second check");
    assert_eq!(reason_of(&status), "CATALOG_UNAVAILABLE");
    system.stop().await;
}
