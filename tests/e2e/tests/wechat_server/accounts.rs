//! Several official accounts: each site has one. What comes through another account is nothing to it, whatever openid that
//! account's owner pushes.

use demo::{Options, Stack};
use serde_json::Value;
use simulator::{Person, Simulator};

use crate::client::{File, NOBODY, Site, digits, good, new_token, says};

/// The system with the account of the variables and two of the file, with one site each.
struct Agency {
    stack: Stack,
    /// The site of the account of the variables.
    own: Site,
    tea: Site,
    rice: Site,
}

impl Agency {
    async fn start() -> Self {
        let entries =
            ["", "account = \"tea\"\naccess_token = true", "account = \"rice\"\naccess_token = true"];
        let sites = entries.map(|more| (more, new_token(&format!("api {more:?}"))));
        let text: String = sites.iter().map(|(more, (entry, _))| format!("{entry}{more}\n")).collect();
        let stack = stack(&File::of(&text)).await;
        let [own, tea, rice] = sites.map(|(_, (_, token))| Site::new(stack.callback.pushes, &token));
        Self { stack, own, tea, rice }
    }

    fn accounts(&self) -> (&Simulator, &Simulator) {
        (&self.stack.others[0], &self.stack.others[1])
    }
}

async fn stack(file: &File) -> Stack {
    let callback = vec![format!("--callback-wechat-server={}", file.path())];
    let others = ["tea", "rice"].map(str::to_owned).to_vec();
    Stack::start(Options { callback, others, ..Options::default() }).await.unwrap()
}

/// Adds somebody whom WeChat has not given this openid at this account.
fn forge(wechat: &Simulator, openid: &str) -> String {
    let person = Person { openid: openid.to_owned(), follower: true, ..Person::default() };
    wechat.add_person(person).openid
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_is_good_at_the_sites_of_its_own_account_and_a_wrong_code_at_others() {
    let agency = Agency::start().await;
    let (tea, _) = agency.accounts();
    let drinker = tea.invent_person("小红", true).openid;
    let code = digits(&says(tea, &drinker, "验证码").await);
    assert_eq!(agency.own.user(&code).await, NOBODY);
    for _ in 0..10 {
        assert_eq!(agency.rice.user(&code).await, NOBODY);
    }
    assert!(agency.rice.user(&code).await.contains("验证码错误次数过多"), "each was a wrong one");
    assert_eq!(agency.tea.user(&code).await, good(&drinker), "it was not used up, and this site has tries");
    let own = agency.stack.wechat.invent_person("Anna", true).openid;
    let code = digits(&says(&agency.stack.wechat, &own, "验证码").await);
    assert_eq!(agency.tea.user(&code).await, NOBODY);
    assert_eq!(agency.own.user(&code).await, good(&own));
    // Where no site is left of an account, its people are answered as if there were no such protocol.
    let (entry, _) = new_token("api");
    let alone = stack(&File::of(&(entry + "account = \"tea\"\n"))).await;
    let eater = alone.others[1].invent_person("李雷", true).openid;
    assert!(says(&alone.others[1], &eater, "验证码").await.contains("打开网站的登录页"));
}

/// The owner of an account knows its token and key, and can sign whatever they like in its name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_accounts_owner_can_do_nothing_to_the_people_and_logins_of_another_one() {
    let agency = Agency::start().await;
    let (tea, rice) = agency.accounts();
    let victim = tea.invent_person("小红", true).openid;
    // The same openid at another named account, and at the account of the variables what looks like the victim's key.
    let key = format!("{}/{victim}", tea.settings().app_id);
    for (evil, openid, site) in [
        (rice, forge(rice, &victim), &agency.rice),
        (&agency.stack.wechat, forge(&agency.stack.wechat, &key), &agency.own),
    ] {
        // Asking, and leaving, end no code of the victim's; and the code that was asked for is nobody's at the victim's site.
        let code = digits(&says(tea, &victim, "验证码").await);
        let forged = digits(&says(evil, &openid, "验证码").await);
        assert_eq!(agency.tea.user(&forged).await, NOBODY);
        evil.unfollow(&openid).await.unwrap();
        assert_eq!(agency.tea.user(&code).await, good(&victim));
        assert_eq!(site.user(&forged).await, NOBODY, "it left");
        evil.follow(&openid).await.unwrap();

        // A login by QR code is scanned and answered through its own account alone.
        let created = agency.tea.create().await;
        let data = &created["data"];
        let (scene, token) = (data["scene_id"].as_str().unwrap(), data["login_token"].as_str().unwrap());
        let scan = evil.push_event(&openid, "SCAN", scene).await;
        assert!(scan.reply.unwrap().contains("已过期"));
        assert_eq!(agency.tea.status(token).await["data"]["status"], "pending");
        assert!(tea.push_event(&victim, "SCAN", scene).await.reply.unwrap().contains("回复 1"));
        for answer in ["1", "0"] {
            says(evil, &openid, answer).await;
        }
        evil.unfollow(&openid).await.unwrap();
        assert_eq!(agency.tea.status(token).await["data"]["status"], "pending");
        says(tea, &victim, "1").await;
        let told = agency.tea.status(token).await;
        let code = told["data"]["auth_code"].as_str().unwrap();
        assert_eq!(site.status(token).await["success"], false, "it is another site's");
        assert_eq!(site.user(code).await, NOBODY);
        assert_eq!(agency.tea.user(code).await, good(&victim));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn qr_codes_and_the_access_token_are_those_of_the_sites_account() {
    let agency = Agency::start().await;
    let (tea, rice) = agency.accounts();
    let token = async |site: &Site| {
        let answer: Value = serde_json::from_str(&site.get("/api/wechat/access_token").await).unwrap();
        answer["access_token"].as_str().unwrap().to_owned()
    };
    assert_ne!(token(&agency.tea).await, token(&agency.rice).await);
    let created = agency.rice.create().await;
    let (picture, token) = (&created["data"]["qrcode_url"], created["data"]["login_token"].as_str().unwrap());
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let picture = http.get(picture.as_str().unwrap()).send().await.unwrap().bytes().await.unwrap();
    let text = e2e::picture::scan(&picture).unwrap();
    let drinker = tea.invent_person("小红", true).openid;
    assert!(tea.scan(&drinker, &text).await.is_err(), "a code of another account");
    let eater = rice.invent_person("李雷", false).openid;
    assert!(rice.scan(&eater, &text).await.unwrap().reply.unwrap().contains("回复 1"));
    says(rice, &eater, "1").await;
    assert_eq!(agency.rice.status(token).await["data"]["wechat_user"]["openid"], eater.as_str());
}
