#include "engine/cloud_file.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "clients/http.h"
#include "clients/json.h"
#include "engine/text.h"

enum { FILE_BYTES = 64 * 1024, SCOPE_BYTES = 1024 };

void cloud_file_deinit(struct cloud_file *file) {
	mem_free(file->_text);
	*file = (struct cloud_file){ 0 };
}

/* --- the file --- */

static bool leads_up(struct str path) {
	while (path.ptr) {
		if (str_eq(str_next(&path, '/'), STR(".."))) return true;
	}
	return false;
}

static bool is_below(struct str path, struct str folder) {
	while (str_ends(folder, STR("/"))) folder.len--;
	return str_starts(path, folder) && path.len > folder.len && path.ptr[folder.len] == '/';
}

/* The file's real path, and that it stands below the folder's: links inside of it are fine, as a
 * mounted ConfigMap has them. */
static enum err resolve(
	const char *folder, struct str path, char out_path[static PATH_MAX], struct fault *fault) {
	char joined[PATH_MAX], root[PATH_MAX];
	bool inside = is_below(path, str_of(folder));
	if (leads_up(path) || (path.len && path.ptr[0] == '/' && !inside) ||
		memchr(path.ptr, '\0', path.len)) {
		return fault_set(fault, ERR_INVALID,
			"%.*s does not stand below %s, the cloudEnvironmentFolder of kvsync's "
			"configuration: name a file below it",
			TEXT_ARG(path), folder);
	}
	int len = snprintf(joined, sizeof joined, "%s%s%.*s", inside ? "" : folder,
		inside ? "" : "/", STR_ARG(path));
	if (len < 0 || (size_t)len >= sizeof joined)
		return fault_set(fault, ERR_INVALID, "%.*s is too long", TEXT_ARG(path));
	if (!realpath(folder, root))
		return fault_set(fault, ERR_INVALID, "open %s: %s", folder, strerror(errno));
	if (!realpath(joined, out_path))
		return fault_set(fault, ERR_INVALID, "open %s: %s", joined, strerror(errno));
	if (is_below(str_of(out_path), str_of(root))) return OK;
	return fault_set(fault, ERR_INVALID,
		"%s is a link out of %s, the cloudEnvironmentFolder of kvsync's configuration",
		joined, folder);
}

/* The path has no links any more. A pipe or a device is not waited for. */
static enum err read_file(
	const char *path, char text[static FILE_BYTES], size_t *out_len, struct fault *fault) {
	struct stat facts;
	int file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (file < 0) return fault_set(fault, ERR_INVALID, "open %s: %s", path, strerror(errno));
	bool fits =
		fstat(file, &facts) == 0 && S_ISREG(facts.st_mode) && facts.st_size <= FILE_BYTES;
	ssize_t got = fits ? read(file, text, FILE_BYTES) : 0;
	int reason = errno;
	close(file);
	if (!fits) {
		return fault_set(
			fault, ERR_INVALID, "%s is no file of at most %d bytes", path, FILE_BYTES);
	}
	if (got < 0) return fault_set(fault, ERR_INVALID, "read %s: %s", path, strerror(reason));
	*out_len = (size_t)got;
	return OK;
}

/* --- what it says --- */

/* "https://host" or "https://host:port" of an endpoint; ERR_INVALID names the member. */
static enum err read_endpoint(const cJSON *json, const char *key, struct str *out_origin,
	struct str *out_host, struct fault *fault) {
	const cJSON *value = cJSON_GetObjectItem(json, key);
	struct str url = cJSON_IsString(value) ? text_trim(str_of(value->valuestring)) : STR("");
	struct str scheme, path;
	unsigned port = 0;
	bool good = http_url_split(url, &scheme, out_host, &port, &path) == OK &&
		    str_eq_nocase(scheme, STR("https")) && text_is_word(*out_host, 253, "-.") &&
		    out_host->ptr == url.ptr + scheme.len + 3 &&
		    (path.len == 0 || str_eq(path, STR("/")));
	if (!good) {
		return fault_set(fault, ERR_INVALID,
			"%s has to be an https address without a path, not \"%.*s\"", key,
			TEXT_ARG(url));
	}
	size_t end = (size_t)(out_host->ptr - url.ptr) + out_host->len;
	while (end < url.len && url.ptr[end] != '/') end++;
	*out_origin = str_slice(url, 0, end);
	return OK;
}

static enum err read_suffix(
	const cJSON *json, struct str vault_host, struct str *out_suffix, struct fault *fault) {
	const cJSON *value = cJSON_GetObjectItem(json, "keyVaultDNSSuffix");
	struct str suffix = cJSON_IsString(value) ? text_trim(str_of(value->valuestring)) : STR("");
	if (!text_is_word(suffix, 200, "-.") || suffix.ptr[0] == '.') {
		return fault_set(fault, ERR_INVALID,
			"keyVaultDNSSuffix has to be the domain that the vaults' names end in, not "
			"\"%.*s\"",
			TEXT_ARG(suffix));
	}
	*out_suffix = suffix;
	if (str_eq_nocase(suffix, vault_host)) return OK;
	/* A token for one service is never sent to another. */
	bool below = str_ends_nocase(suffix, vault_host) && suffix.len > vault_host.len &&
		     suffix.ptr[suffix.len - vault_host.len - 1] == '.';
	if (below) return OK;
	return fault_set(fault, ERR_INVALID,
		"keyVaultDNSSuffix \"%.*s\" does not stand below the host of keyVaultEndpoint, "
		"\"%.*s\"",
		TEXT_ARG(suffix), TEXT_ARG(vault_host));
}

/* Takes over origins and suffix, in lower case, as host names are. */
static enum err keep(
	struct str authority, struct str vault, struct str suffix, struct cloud_file *out_file) {
	struct buf text;
	buf_init(&text, 4 * SCOPE_BYTES);
	buf_append(&text, authority);
	buf_append(&text, vault);
	buf_append(&text, STR("/.default"));
	buf_append(&text, suffix);
	size_t scope_len = vault.len + STR("/.default").len;
	char *block = buf_take(&text);
	if (!block) return ERR_NOMEM;
	for (char *c = block; *c; c++) *c = (char)tolower((unsigned char)*c);
	struct cloud cloud = {
		.name = STR("AzureStackCloud"),
		.authority = { block, authority.len },
		.scope = { block + authority.len, scope_len },
		.vault_suffix = { block + authority.len + scope_len, suffix.len },
	};
	cloud.audience = cloud_audience(cloud.authority);
	*out_file = (struct cloud_file){ cloud, block };
	return OK;
}

static enum err read_json(struct str text, struct cloud_file *out_file, struct fault *fault) {
	struct str authority = STR_NULL, vault = STR_NULL, host = STR_NULL, vault_host = STR_NULL,
		   suffix = STR_NULL;
	cJSON *json = NULL;
	enum err err = json_parse(text, &json, fault);
	if (!err && !cJSON_IsObject(json)) err = fault_set(fault, ERR_INVALID, "is no JSON object");
	if (!err) err = read_endpoint(json, "activeDirectoryEndpoint", &authority, &host, fault);
	if (!err) err = read_endpoint(json, "keyVaultEndpoint", &vault, &vault_host, fault);
	if (!err) err = read_suffix(json, vault_host, &suffix, fault);
	if (!err) err = keep(authority, vault, suffix, out_file);
	cJSON_Delete(json);
	if (err == ERR_PARSE) err = fault_set(fault, ERR_INVALID, "is no JSON");
	return err;
}

enum err cloud_file_read(
	const char *folder, struct str path, struct cloud_file *out_file, struct fault *fault) {
	char real[PATH_MAX];
	size_t len = 0;
	if (!folder) {
		return fault_set(fault, ERR_INVALID,
			"this installation has no custom clouds: its operator sets "
			"cloudEnvironmentFolder in kvsync's configuration");
	}
	enum err err = resolve(folder, path, real, fault);
	if (err) return err;
	char *text = mem_alloc(FILE_BYTES);
	if (!text) return ERR_NOMEM;
	err = read_file(real, text, &len, fault);
	if (!err) {
		err = read_json((struct str){ text, len }, out_file, fault);
		if (err == ERR_INVALID) err = fault_prefix(fault, err, "%s", real);
	}
	mem_free(text);
	return err;
}
