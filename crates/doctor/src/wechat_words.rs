//! WeChat's refusals in both languages: what it said, and what to do. The English words are those of the log.

use wechat::{Class, Error};

use crate::words::Words;

/// What went wrong.
pub(crate) fn what(error: &Error) -> Words {
    match error {
        Error::Api { code, message, call } => Words::new(
            format!("WeChat refused {call}: {code} {message}"),
            format!("微信拒绝了 {call}：{code} {message}"),
        ),
        Error::Unreachable { call, reason } => Words::new(
            format!("WeChat could not be reached for {call}: {reason}"),
            format!("{call} 连不上微信：{reason}"),
        ),
        Error::Transport { call, reason } => Words::new(
            format!("the connection to WeChat broke during {call}: {reason}"),
            format!("{call} 的连接中断：{reason}"),
        ),
        Error::Status { call, status, .. } => Words::new(
            format!("{call} was answered with HTTP status {status}, which WeChat itself does not do"),
            format!("{call} 得到 HTTP 状态 {status}，微信自己不会这样回答"),
        ),
        Error::Timeout { call } => {
            Words::new(format!("WeChat did not answer {call} in time"), format!("微信没有及时回答 {call}"))
        }
        Error::Decode { call, reason } => Words::new(
            format!("the answer to {call} is not WeChat's: {reason}"),
            format!("{call} 的回答不是微信的格式：{reason}"),
        ),
        other => Words::same(other.to_string()),
    }
}

/// What to do about it.
pub(crate) fn cure(error: &Error) -> Words {
    match (error.code(), error.class()) {
        (_, Class::IpNotAllowed) => allow(error),
        (Some(40013), _) => Words::new(
            "WECHAT_APP_ID is not an official account's appid, or not at this API; copy it from the console again",
            "WECHAT_APP_ID 不是公众号的 appid，或不属于这个接口地址；请从后台重新复制",
        ),
        (Some(40125), _) => Words::new(
            "WECHAT_APP_SECRET is wrong or was reset; take the present one from the console",
            "WECHAT_APP_SECRET 有误或已被重置；请使用后台当前的 AppSecret",
        ),
        (Some(40243), _) => Words::new(
            "the AppSecret is frozen; unfreeze it in the console",
            "AppSecret 已被冻结；请在后台解冻",
        ),
        (_, Class::Credentials) => Words::new(
            "WECHAT_APP_SECRET is not the one of WECHAT_APP_ID; take both from the console",
            "WECHAT_APP_SECRET 与 WECHAT_APP_ID 不匹配；请从后台重新取得两者",
        ),
        (Some(45009), _) => Words::new(
            "the day's quota is used up until tomorrow; the console can reset it, ten times a month",
            "当天额度已用完，明天恢复；也可以在后台重置，每月十次",
        ),
        (_, Class::Quota) => Words::new(
            "too many calls within a minute; see whether another system of the account makes them",
            "一分钟内调用过多；请查看是否有其他系统在使用这个账号",
        ),
        (Some(48001), _) => Words::new(
            "the account lacks this call; it needs a verified service account (服务号) or a test account; others can let \
             people type a code: GATEWAY_WAYS",
            "这个账号没有该接口权限；需要已认证的服务号或测试号；其他账号可以让用户发送验证码登录：GATEWAY_WAYS",
        ),
        (_, Class::Permission) => Words::new(
            "WeChat has banned or frozen this; see the notices in the account's console",
            "该功能已被微信封禁或冻结；请查看后台的通知",
        ),
        (_, Class::Token) => Words::new(
            "another system of the account replaces its tokens all the time: let it use cgi-bin/stable_token, not \
             cgi-bin/token",
            "有其他系统在不断更换这个账号的 access_token：请让它改用 cgi-bin/stable_token，不要用 cgi-bin/token",
        ),
        (_, Class::Busy) => Words::new(
            "WeChat is busy; this passes by itself, look again in a minute",
            "微信系统繁忙，通常会自行恢复；请一分钟后再检查",
        ),
        (_, Class::Transport) => Words::new(
            "look at what is on the way: the name server, a firewall that does not let this machine out to port 443, the \
             proxy of HTTPS_PROXY, a wrong WECHAT_API_URL",
            "请检查沿途：DNS、不允许本机访问 443 端口的防火墙、HTTPS_PROXY 指定的代理、写错的 WECHAT_API_URL",
        ),
        (_, Class::Timeout) => Words::new(
            "WeChat answers in tens of milliseconds: something on the way is slow or drops packets, mostly a firewall or \
             the proxy of HTTPS_PROXY",
            "微信通常几十毫秒就有回答：可能是防火墙或 HTTPS_PROXY 指定的代理太慢或丢包",
        ),
        (Some(_), _) => Words::new(
            "the code is explained on WeChat's page \"global return codes\"; its support asks for the rid",
            "错误码的含义见微信文档“全局返回码”；向微信客服咨询时请提供 rid",
        ),
        (None, _) => Words::new(
            "see whether WECHAT_API_URL is WeChat's API, and whether a proxy answers in its place",
            "请检查 WECHAT_API_URL 是否为微信接口，是否有代理代替微信作答",
        ),
    }
}

/// What to allow. Behind a proxy or NAT this machine does not know the address that WeChat sees.
fn allow(error: &Error) -> Words {
    if matches!(error.code(), Some(89501 | 89503 | 89506 | 89507)) {
        return Words::new(
            "WeChat has asked the account's administrator to confirm this machine's address; let them agree in WeChat",
            "微信已请公众号管理员确认本机 IP；请管理员在微信中同意",
        );
    }
    match error.address_to_allow() {
        Some(address) => Words::new(
            format!("add {address} to the account's IP allowlist in the console (开发接口管理, IP白名单)"),
            format!("请在后台“开发接口管理”的 IP 白名单中加入 {address}"),
        ),
        None => Words::new(
            "add this machine's outer address to the account's IP allowlist in the console",
            "请在后台的 IP 白名单中加入本机的出口地址",
        ),
    }
}
