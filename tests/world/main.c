/* tests/world/main.c - kvsync-world: the local Entra, Key Vault and API server. */
#include <assert.h>
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "tests/world/server.h"

enum { MAX_CRDS = 16 };

struct options {
	const char *dir, *seed_file, *issuer;
	const char *crds[MAX_CRDS];
	unsigned crd_count;
	bool azure_only, azure_h2, without_watch_list;
	uint64_t seed;
	unsigned ports[SERVER_KINDS];
};

struct world {
	struct options options;
	struct server server;
	struct loop *loop;
	struct azure *azure;
	struct kube_world *kube;
	EVP_PKEY *signing_key;
	struct loop_fd signals;
	bool stop;
};

static void usage(FILE *to) {
	fputs("usage: kvsync-world --dir DIR [options]\n"
	      "  --dir DIR          writes world.json, ca.pem, kubeconfig and the administrator's "
	      "certificate there\n"
	      "  --azure-only       Entra and Key Vault alone, no API server\n"
	      "  --azure-h2         Key Vault and Entra offer HTTP/2, too\n"
	      "  --seed-file FILE   vaults, secrets, identities (JSON; tests/world/README.md)\n"
	      "  --seed N           of every chance; default 1\n"
	      "  --crd FILE         serves the CustomResourceDefinitions of a YAML file; may be "
	      "repeated\n"
	      "  --without-watch-list   an API server without streaming lists\n"
	      "  --issuer URL       of service account tokens; default "
	      "https://kubernetes.default.svc\n"
	      "  --port-azure N, --port-kube N, --port-proxy N, --port-control N, --port-imds N: "
	      "instead of free "
	      "ports\n",
		to);
}

static bool take_number(const char *text, uint64_t max, uint64_t *out_number) {
	return text && str_to_u64(str_of(text), out_number) == OK && *out_number <= max;
}

static bool port_option(struct options *options, const char *name, const char *value) {
	static const char *const names[SERVER_KINDS] = { "--port-azure", "--port-kube",
		"--port-proxy", "--port-control", "--port-imds" };
	uint64_t port = 0;
	for (int kind = 0; kind < SERVER_KINDS; kind++) {
		if (strcmp(name, names[kind]) != 0 || !take_number(value, 65535, &port)) continue;
		options->ports[kind] = (unsigned)port;
		return true;
	}
	return false;
}

static bool read_options(int argc, char **argv, struct options *options) {
	for (int i = 1; i < argc; i++) {
		const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
		if (!strcmp(name, "--azure-only")) {
			options->azure_only = true;
			continue;
		} else if (!strcmp(name, "--azure-h2")) {
			options->azure_h2 = true;
			continue;
		} else if (!strcmp(name, "--without-watch-list")) {
			options->without_watch_list = true;
			continue;
		}
		i++;
		if (!strcmp(name, "--dir") && value) {
			options->dir = value;
		} else if (!strcmp(name, "--seed-file") && value) {
			options->seed_file = value;
		} else if (!strcmp(name, "--issuer") && value) {
			options->issuer = value;
		} else if (!strcmp(name, "--crd") && value && options->crd_count < MAX_CRDS) {
			options->crds[options->crd_count++] = value;
		} else if (!strcmp(name, "--seed")) {
			if (!take_number(value, UINT64_MAX, &options->seed)) return false;
		} else if (!port_option(options, name, value)) {
			fprintf(stderr,
				"kvsync-world: option '%s' is not known, or its value is missing "
				"or wrong\n",
				name);
			return false;
		}
	}
	if (!options->dir) fprintf(stderr, "kvsync-world: --dir is missing\n");
	return options->dir != NULL;
}

static bool read_file(const char *path, struct buf *out) {
	FILE *file = fopen(path, "re");
	if (!file) {
		fprintf(stderr, "kvsync-world: cannot read %s: %s\n", path, strerror(errno));
		return false;
	}
	char chunk[4096];
	for (size_t got; (got = fread(chunk, 1, sizeof(chunk), file)) > 0;)
		buf_append(out, (struct str){ chunk, got });
	fclose(file);
	return buf_err(out) == OK;
}

static bool start_kube(struct world *world) {
	struct now now = loop_now(world->loop);
	world->signing_key = EVP_RSA_gen(2048);
	struct kube_config config = {
		.seed = world->options.seed,
		.gc_delay_ns = NS_PER_S,
		.owner_permission_enforcement = true,
		.issuer = world->options.issuer,
		.signing_key = world->signing_key,
		.without_watch_list = world->options.without_watch_list,
	};
	world->kube = kube_world_create(&config, now);
	for (unsigned i = 0; i < world->options.crd_count; i++) {
		struct buf yaml;
		buf_init(&yaml, 16 << 20);
		bool good = read_file(world->options.crds[i], &yaml) &&
			    kube_crd_load(world->kube, buf_str(&yaml)) == OK;
		buf_deinit(&yaml);
		if (good) continue;
		fprintf(stderr, "kvsync-world: no CustomResourceDefinition in %s\n",
			world->options.crds[i]);
		return false;
	}
	/* Entra trusts the API server's own keys from the start. */
	struct buf jwks;
	buf_init(&jwks, 1 << 16);
	int status = kube_request(
		world->kube, now, NULL, "GET", "/openid/v1/jwks", NULL, STR_NULL, &jwks);
	cJSON *json = cJSON_ParseWithLength(buf_str(&jwks).ptr, buf_str(&jwks).len);
	buf_deinit(&jwks);
	if (status == 200 && json)
		azure_issuer_set(world->azure, str_of(world->options.issuer), &json, STR_NULL);
	cJSON_Delete(json);
	return status == 200;
}

static bool apply_seed(struct world *world) {
	if (!world->options.seed_file) return true;
	struct buf text;
	buf_init(&text, 256 << 20);
	cJSON *document = NULL;
	if (read_file(world->options.seed_file, &text)) {
		document = world_json_parse(buf_str(&text));
		if (!document)
			fprintf(stderr, "kvsync-world: %s is not JSON\n", world->options.seed_file);
	}
	buf_deinit(&text);
	if (!document) return false;
	char *error = control_apply_all(&world->server, loop_now(world->loop), document);
	if (error) fprintf(stderr, "kvsync-world: %s: %s\n", world->options.seed_file, error);
	cJSON_Delete(document);
	bool good = !error;
	mem_free(error);
	return good;
}

static bool write_file(const char *dir, const char *name, struct str text) {
	struct buf path;
	buf_init(&path, 4096);
	buf_printf(&path, "%s/%s", dir, name);
	FILE *file = fopen(buf_cstr(&path), "we");
	bool good = file && fwrite(text.ptr, 1, text.len, file) == text.len;
	if (file && fclose(file) != 0) good = false;
	if (!good)
		fprintf(stderr, "kvsync-world: cannot write %s: %s\n", buf_cstr(&path),
			strerror(errno));
	buf_deinit(&path);
	return good;
}

static bool write_world(const struct world *world) {
	const struct listener *at = world->server.listeners;
	char *dir = realpath(world->options.dir, NULL);
	cJSON *json = cJSON_CreateObject();
	struct buf text;
	buf_init(&text, 1 << 16);
	assert(dir);
	world_json_add_i64(json, "pid", getpid());
	world_json_add_i64(json, "azurePort", at[SERVER_AZURE].port);
	world_json_add_i64(json, "proxyPort", at[SERVER_PROXY].port);
	world_json_add_i64(json, "controlPort", at[SERVER_CONTROL].port);
	world_json_add_i64(json, "imdsPort", at[SERVER_IMDS].port);
	buf_printf(&text, "http://127.0.0.1:%u", at[SERVER_PROXY].port);
	world_json_add(json, "proxyUrl", buf_str(&text));
	buf_reset(&text);
	buf_printf(&text, "http://127.0.0.1:%u", at[SERVER_CONTROL].port);
	world_json_add(json, "controlUrl", buf_str(&text));
	buf_reset(&text);
	buf_printf(&text, "%s/ca.pem", dir);
	world_json_add(json, "caFile", buf_str(&text));
	if (world->kube) {
		world_json_add_i64(json, "kubePort", at[SERVER_KUBE].port);
		buf_reset(&text);
		buf_printf(&text, "https://127.0.0.1:%u", at[SERVER_KUBE].port);
		world_json_add(json, "kubeUrl", buf_str(&text));
		buf_reset(&text);
		buf_printf(&text, "%s/kubeconfig", dir);
		world_json_add(json, "kubeconfig", buf_str(&text));
	}
	char *printed = cJSON_Print(json);
	bool good = write_file(dir, "world.json", str_of(printed));
	cJSON_free(printed);
	cJSON_Delete(json);
	buf_reset(&text);
	buf_printf(&text,
		"apiVersion: v1\nkind: Config\ncurrent-context: world\nclusters:\n- name: world\n  "
		"cluster:\n"
		"    server: https://127.0.0.1:%u\n    certificate-authority: %s/ca.pem\nusers:\n- "
		"name: admin\n  user:\n"
		"    client-certificate: %s/admin.pem\n    client-key: "
		"%s/admin-key.pem\ncontexts:\n- name: world\n"
		"  context:\n    cluster: world\n    user: admin\n",
		at[SERVER_KUBE].port, dir, dir, dir);
	if (world->kube && good) good = write_file(dir, "kubeconfig", buf_str(&text));
	buf_deinit(&text);
	free(dir);
	return good;
}

static void on_signal(struct loop_fd *watch, uint32_t events) {
	(void)events;
	struct world *world = container_of(watch, struct world, signals);
	struct signalfd_siginfo info;
	while (read(watch->fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) world->stop = true;
}

static bool start(struct world *world) {
	struct server *server = &world->server;
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	world->signals = (struct loop_fd){ signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC), EPOLLIN,
		on_signal };
	world->loop = loop_create(clock_system());
	world->azure = azure_create(world->options.seed);
	if (!world->loop || world->signals.fd < 0 || loop_add(world->loop, &world->signals) != OK)
		return false;
	if (!world->options.azure_only && !start_kube(world)) return false;
	if (!tls_make(world->options.dir, world->azure->suffix, world->options.azure_h2,
		    server->tls)) {
		fprintf(stderr, "kvsync-world: cannot write certificates to %s: %s\n",
			world->options.dir, strerror(errno));
		return false;
	}
	server->azure_h2 = world->options.azure_h2;
	for (int kind = 0; kind < SERVER_KINDS; kind++)
		server->listeners[kind].port = world->options.ports[kind];
	if (!server_start(server, clock_system(), world->loop, world->azure, world->kube)) {
		fprintf(stderr, "kvsync-world: cannot listen: %s\n", strerror(errno));
		return false;
	}
	return apply_seed(world) && write_world(world);
}

static void stop(struct world *world) {
	if (world->server.loop) server_stop(&world->server);
	for (int i = 0; i < 2; i++) SSL_CTX_free(world->server.tls[i]);
	kube_world_destroy(world->kube);
	azure_destroy(world->azure);
	EVP_PKEY_free(world->signing_key);
	if (world->signals.fd >= 0) close(world->signals.fd);
	loop_destroy(world->loop);
}

int main(int argc, char **argv) {
	struct world world = { .options = { .seed = 1, .issuer = "https://kubernetes.default.svc" },
		.signals = { .fd = -1 } };
	if (argc == 2 && !strcmp(argv[1], "--help")) {
		usage(stdout);
		return 0;
	}
	if (!read_options(argc, argv, &world.options)) {
		usage(stderr);
		return 2;
	}
	bool good = start(&world);
	if (good) {
		printf("kvsync-world: ready, %s/world.json\n", world.options.dir);
		fflush(stdout);
		while (!world.stop) server_turn(&world.server, NEVER_NS);
		printf("kvsync-world: stopped\n");
	}
	stop(&world);
	return good ? 0 : 1;
}
