//! What is kept of logins for sites, tried in SQLite and in a real Redis, as two services see it.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use futures_util::future::join_all;
use records::Kept;
use test_redis::PATIENCE;
use tokio::time::timeout;

use super::access::{Access, AccessTokens};
use super::accounts::Accounts;
use super::codes::{Code, Codes, ForPage};
use super::identity::{Identity, Scanned};
use super::requests::{Asked, Continued, Requests};
use super::sessions::{Lives, Sessions};
use super::token::Token;
use crate::store::tests::on_each_store;

const LIVES: Lives = Lives { idle: Duration::from_secs(3600), life: Duration::from_secs(7200) };

fn scanned() -> Scanned {
    Scanned {
        person: wechat::Person::new("oPerson"),
        unionid: None,
        nickname: None,
        picture: None,
        confirmed: false,
        login: None,
    }
}

fn asked() -> Asked {
    Asked {
        site: "shop".to_owned(),
        redirect_uri: "https://shop.example/cb".to_owned(),
        scope: "openid".to_owned(),
        state: None,
        nonce: None,
        code_challenge: None,
        only: None,
        confirm: false,
    }
}

fn page() -> ForPage {
    ForPage { site: "shop".into(), scope: "openid".into(), nonce: None, code_challenge: "c".into() }
}

/// A hundred back ends, or a hundred tries of a thief's, bring one code at the same moment to two services.
#[tokio::test]
async fn of_a_hundred_redemptions_of_one_code_one_wins() {
    on_each_store(async |here, there| {
        let both = [Codes::new(here), Codes::new(there)];
        let code = both[0].put_for_page(&page(), &scanned()).await.unwrap();
        let redemptions = (0..100).map(|n| {
            let (codes, code, access) = (&both[n % 2], &code, Token::random());
            async move {
                // Nothing is given where the store cannot say; then the site tries again.
                loop {
                    match codes.redeem(code, &access.hash()).await {
                        Ok(redeemed) => return redeemed.map(|()| access.hash()),
                        Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                    }
                }
            }
        });
        let redeemed = timeout(PATIENCE, join_all(redemptions)).await.unwrap();
        let winners: Vec<_> = redeemed.iter().filter_map(|redeemed| redeemed.as_ref().ok()).collect();
        assert_eq!(winners.len(), 1);
        let losers = redeemed.iter().filter_map(|redeemed| redeemed.as_ref().err());
        assert!(losers.clone().count() == 99 && losers.flatten().all(|first| first == winners[0]));
        assert!(both[1].look(&code).await.unwrap().unwrap().redeemed.is_some());
        assert!(both[0].look(&Token::random()).await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn a_request_is_answered_once_to_the_browser_and_the_page_that_asked() {
    on_each_store(async |here, there| {
        let (requests, elsewhere) = (Requests::new(here), Requests::new(there));
        let (browser, other) = (Token::random(), Token::random());
        let handle = requests.put(asked(), &browser.hash()).await.unwrap();
        assert_eq!(
            elsewhere.waiting(&handle).await.unwrap().map(|asked| asked.site).as_deref(),
            Some("shop")
        );
        assert_eq!(elsewhere.waiting(&Token::random()).await.unwrap(), None);
        // A scan may be granted twice, by a repeated push; the gateway hands one of the codes to the page.
        let first = elsewhere.prove(&handle, &scanned()).await.unwrap().unwrap();
        let second = requests.prove(&handle, &scanned()).await.unwrap().unwrap();
        assert!(elsewhere.prove(&Token::random(), &scanned()).await.unwrap().is_none());
        let resume = async |browser: &Token, code: &Token| {
            elsewhere.resume(&handle, &browser.hash(), code).await.unwrap()
        };
        assert_eq!(resume(&other, &first).await, Continued::OtherBrowser);
        assert_eq!(resume(&browser, &Token::random()).await, Continued::NoProof);
        assert_eq!(resume(&browser, &handle).await, Continued::NoProof);
        let Continued::LoggedIn(login) = resume(&browser, &first).await else { panic!("not logged in") };
        assert_eq!((login.0, login.1.openid.as_str()), (asked(), "oPerson"));
        assert!(
            matches!(resume(&browser, &first).await, Continued::LoggedIn(_)),
            "nothing has come of it yet"
        );
        let (answer, other) = (Token::random().hash(), Token::random().hash());
        assert!(requests.answer(&handle.hash(), &answer).await.unwrap());
        assert!(
            elsewhere.answer(&handle.hash(), &answer).await.unwrap(),
            "the same attempt, which did not hear of it"
        );
        assert!(!elsewhere.answer(&handle.hash(), &other).await.unwrap());
        assert_eq!(resume(&browser, &first).await, Continued::Gone, "a handle is used once");
        assert_eq!(resume(&browser, &second).await, Continued::Gone);
        assert_eq!(requests.waiting(&handle).await.unwrap(), None);
        assert!(requests.prove(&handle, &scanned()).await.unwrap().is_none());
    })
    .await;
}

/// A page that shows many QR codes one after another leaves proofs; the record does not grow with them.
#[tokio::test]
async fn a_request_keeps_the_newest_scans() {
    on_each_store(async |here, _| {
        let requests = Requests::new(here);
        let browser = Token::random().hash();
        let handle = requests.put(asked(), &browser).await.unwrap();
        let mut codes = Vec::new();
        for _ in 0..20 {
            codes.push(requests.prove(&handle, &scanned()).await.unwrap().unwrap());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        assert_eq!(requests.resume(&handle, &browser, &codes[0]).await.unwrap(), Continued::NoProof);
        let newest = requests.resume(&handle, &browser, &codes[19]).await.unwrap();
        assert!(matches!(newest, Continued::LoggedIn(_)));
    })
    .await;
}

#[tokio::test]
async fn a_session_is_found_by_its_cookie_until_it_ends() {
    on_each_store(async |here, there| {
        let (sessions, elsewhere) = (Sessions::new(here, LIVES), Sessions::new(there, LIVES));
        let (codes, cookie) = (Codes::new(here), Token::random());
        let code = codes.put_for_page(&page(), &scanned()).await.unwrap();
        let who = Identity::clone(&codes.look(&code).await.unwrap().unwrap().who);
        sessions.begin(&cookie, &who).await.unwrap();
        let (found, now) = elsewhere.find(&cookie).await.unwrap().unwrap();
        assert!(found == who && now >= who.at);
        assert_eq!(elsewhere.find(&Token::random()).await.unwrap(), None);
        elsewhere.end(&cookie.hash()).await.unwrap();
        assert_eq!(sessions.find(&cookie).await.unwrap(), None);
        sessions.end(&cookie.hash()).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_forgotten_person_has_no_login_and_may_come_back() {
    on_each_store(async |here, there| {
        let (accounts, elsewhere) = (Accounts::new(here, LIVES.life), Accounts::new(there, LIVES.life));
        let codes = Codes::new(here);
        let who = async || -> Identity {
            let code = codes.put_for_page(&page(), &scanned()).await.unwrap();
            Identity::clone(&codes.look(&code).await.unwrap().unwrap().who)
        };
        let before = who().await;
        assert!(accounts.begin(&before, &Token::random().hash()).await.unwrap());
        assert!(elsewhere.visit(&before, "shop", "oPerson").await.unwrap());
        let leaving = accounts.leave("oPerson", before.at).await.unwrap();
        assert_eq!((leaving.logins.len(), leaving.sites.len()), (1, 1));
        elsewhere.erase("oPerson", before.at).await.unwrap();
        assert!(!accounts.lives(&before).await.unwrap());
        assert!(!accounts.visit(&before, "shop", "oPerson").await.unwrap());
        assert!(!accounts.begin(&before, &Token::random().hash()).await.unwrap());
        assert_eq!(accounts.leave("oPerson", before.at).await.unwrap().logins.len(), 0);
        tokio::time::sleep(Duration::from_millis(2)).await;
        let after = who().await;
        assert!(accounts.visit(&after, "shop", "oPerson").await.unwrap());
        assert!(accounts.lives(&after).await.unwrap());
        assert!(accounts.end("oPerson", &after.sid).await.unwrap().is_some());
        assert!(!elsewhere.lives(&after).await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn a_revoked_access_token_opens_nothing() {
    on_each_store(async |here, there| {
        let (tokens, elsewhere) = (AccessTokens::new(here), AccessTokens::new(there));
        let codes = Codes::new(here);
        let code = codes.put_for_page(&page(), &scanned()).await.unwrap();
        let Code { who, .. } = codes.look(&code).await.unwrap().unwrap();
        let access = Access {
            site: "shop".into(),
            scope: "openid".into(),
            who: Kept::from(Identity::clone(&who)),
            is_revoked: false,
        };
        let token = Token::random();
        tokens.put(&token, access.clone()).await.unwrap();
        assert_eq!(elsewhere.look(&token).await.unwrap(), Some(access));
        elsewhere.revoke(&token.hash()).await.unwrap();
        assert_eq!(tokens.look(&token).await.unwrap(), None);
    })
    .await;
}
