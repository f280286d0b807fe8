#include "engine/cloud.h"

#define CLOUD(n, a, login, vault) \
	{ STR(n), STR(a), STR("https://" login), STR("https://" vault "/.default"), STR(vault) }

static const struct cloud CLOUDS[] = {
	CLOUD("AzurePublicCloud", "AzureCloud", "login.microsoftonline.com", "vault.azure.net"),
	CLOUD("AzureUSGovernmentCloud", "AzureUSGovernment", "login.microsoftonline.us",
		"vault.usgovcloudapi.net"),
	CLOUD("AzureChinaCloud", "", "login.chinacloudapi.cn", "vault.azure.cn"),
};

const struct cloud *cloud_find(struct str name) {
	if (name.len == 0) return NULL;
	for (size_t i = 0; i < sizeof CLOUDS / sizeof *CLOUDS; i++) {
		if (str_eq_nocase(name, CLOUDS[i].name)) return &CLOUDS[i];
		if (str_eq_nocase(name, CLOUDS[i].alias)) return &CLOUDS[i];
	}
	return NULL;
}
