//! The credentials that a pull for a user's job shows: his, or root's.

use super::tests::{NOBODY, Site, is_root};
use crate::config::Category;
use crate::session::tests::template;
use crate::session::{JobSession, Timeout};
use crate::tracker::fake::CATEGORY;

/// The user whose credentials count for a user's job of this category.
fn owner(site: &Site) -> u64 {
    site.of(NOBODY, |_| {
        let session = JobSession::create(None, None).unwrap();
        session.run_job(template("0")).unwrap().wait_terminated(Timeout::Infinite).unwrap();
    });
    let orders = site.bench.tracker.orders();
    let settings: serde_json::Value = orders[0].settings.read().unwrap();
    settings["registry"]["owner"]["uid"].as_u64().unwrap()
}

#[test]
fn roots_credentials_are_for_images_that_the_configuration_names() {
    if !is_root() {
        return;
    }
    assert_eq!(owner(&Site::new()), u64::from(NOBODY));
    let category = Category { image: "registry.example/own:1".into(), ..Category::default() };
    let site = Site::configured(|config| {
        config.categories.insert(CATEGORY.into(), category);
    });
    assert_eq!(owner(&site), 0);
}
