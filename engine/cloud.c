#include "engine/cloud.h"

#define CLOUD(n, a, login, vault, suffix)                                                 \
	{                                                                                 \
		STR(n), STR(a), STR("https://" login), STR("https://" vault "/.default"), \
			STR(vault), STR("api://AzureADTokenExchange" suffix)              \
	}

static const struct cloud CLOUDS[] = {
	CLOUD("AzurePublicCloud", "AzureCloud", "login.microsoftonline.com", "vault.azure.net", ""),
	CLOUD("AzureUSGovernmentCloud", "AzureUSGovernment", "login.microsoftonline.us",
		"vault.usgovcloudapi.net", "USGov"),
	CLOUD("AzureChinaCloud", "", "login.chinacloudapi.cn", "vault.azure.cn", "China"),
};
enum { CLOUD_COUNT = sizeof CLOUDS / sizeof *CLOUDS };

const struct cloud *cloud_find(struct str name) {
	if (name.len == 0) return NULL;
	for (size_t i = 0; i < CLOUD_COUNT; i++) {
		if (str_eq_nocase(name, CLOUDS[i].name)) return &CLOUDS[i];
		if (str_eq_nocase(name, CLOUDS[i].alias)) return &CLOUDS[i];
	}
	return NULL;
}

bool cloud_is_custom(struct str name) {
	return str_eq_nocase(name, STR("AzureStackCloud"));
}

bool cloud_is_closed(struct str name) {
	return str_eq_nocase(name, STR("AzureGermanCloud"));
}

struct str cloud_audience(struct str authority) {
	for (size_t i = 0; i < CLOUD_COUNT; i++) {
		if (str_eq_nocase(authority, CLOUDS[i].authority)) return CLOUDS[i].audience;
	}
	return CLOUDS[0].audience;
}
