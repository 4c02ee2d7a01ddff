//! Azure's hosts: which account one names, and in which cloud.

/// The clouds of Azure's. Who we are is shown to a host of theirs because a URI names it; a URI may
/// come from a catalog, so any other host has to be named by the configuration.
const CLOUDS: [&str; 5] = [
    "core.windows.net",
    "core.usgovcloudapi.net",
    "core.chinacloudapi.cn",
    "storage.azure.net",
    "fabric.microsoft.com",
];

/// `account` and `core.windows.net` of `account.dfs.core.windows.net`, in lower case.
fn account_and_cloud(host: &str) -> Option<(String, String)> {
    let host = host.to_ascii_lowercase();
    let split = |kind: &str| host.split_once(kind);
    let (account, cloud) = split(".dfs.").or_else(|| split(".blob."))?;
    let said = !account.is_empty() && !cloud.is_empty();
    said.then(|| (account.to_owned(), cloud.to_owned()))
}

/// Where the blobs of an account are, whatever cloud it is in; none if its host does not tell.
pub(super) fn account_url(host: &str) -> Option<String> {
    let (account, cloud) = account_and_cloud(host)?;
    Some(format!("https://{account}.blob.{cloud}"))
}

/// Whether it is a host of one of Azure's clouds.
pub(super) fn is_azures(host: &str) -> bool {
    account_and_cloud(host).is_some_and(|(_, cloud)| CLOUDS.contains(&cloud.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_asked_in_the_cloud_that_its_host_names() {
        for (host, url) in [
            ("a.dfs.core.windows.net", "https://a.blob.core.windows.net"),
            ("a.blob.core.windows.net", "https://a.blob.core.windows.net"),
            (
                "A.DFS.core.usgovcloudapi.net",
                "https://a.blob.core.usgovcloudapi.net",
            ),
            (
                "a.z01.dfs.storage.azure.net",
                "https://a.z01.blob.storage.azure.net",
            ),
            (
                "onelake.dfs.fabric.microsoft.com",
                "https://onelake.blob.fabric.microsoft.com",
            ),
        ] {
            assert_eq!(account_url(host).as_deref(), Some(url), "{host}");
            assert!(is_azures(host), "{host}");
        }
        for host in ["a", "a.example", ".dfs.core.windows.net", "a.dfs.", "dfs.x"] {
            assert_eq!(account_url(host), None, "{host}");
            assert!(!is_azures(host), "{host}");
        }
    }

    #[test]
    fn a_host_is_azures_by_all_that_follows_the_account() {
        for host in ["a.dfs.core.chinacloudapi.cn", "a.blob.CORE.windows.NET"] {
            assert!(is_azures(host), "{host}");
        }
        for host in [
            "a.dfs.evil.test",
            "a.dfs.core.windows.net.evil.test",
            "a.dfs.evilcore.windows.net",
            "a.dfs.windows.net",
            "a.blob.core.windows.net.dfs.evil.test",
            "a.dfs.evil.test.blob.core.windows.net",
            "core.windows.net",
        ] {
            assert!(!is_azures(host), "{host}");
        }
    }
}
