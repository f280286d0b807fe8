/* The command line of the simulation. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/metric.h"
#include "base/rcu.h"
#include "tests/sim/sim.h"

static const char USAGE[] =
	"usage: sim --seeds A..B [--twice] [--table] [--check-table] [--verbose]\n"
	"       sim --seed N [--until STEP] [--trace] [--verbose]\n"
	"\n"
	"--twice        each seed runs twice, and both histories have to be equal\n"
	"--table        prints how often each fault met each step\n"
	"--check-table  fails when a fault that can meet a step never did\n"
	"--trace        prints every event; --verbose the product's log\n";

struct arguments {
	uint64_t first, last;
	bool twice, table, check_table;
	struct sim_options options;
};

static bool parse_seeds(const char *text, struct arguments *arguments) {
	struct str all = str_of(text);
	size_t dots = str_find(all, STR(".."));
	if (dots == SIZE_MAX) return false;
	return str_to_u64(str_slice(all, 0, dots), &arguments->first) == OK &&
	       str_to_u64(str_slice(all, dots + 2, all.len), &arguments->last) == OK;
}

static bool parse(int argc, char **argv, struct arguments *arguments) {
	for (int i = 1; i < argc; i++) {
		const char *word = argv[i], *value = i + 1 < argc ? argv[i + 1] : "";
		if (strcmp(word, "--twice") == 0) {
			arguments->twice = true;
		} else if (strcmp(word, "--table") == 0) {
			arguments->table = true;
		} else if (strcmp(word, "--check-table") == 0) {
			arguments->check_table = true;
		} else if (strcmp(word, "--trace") == 0) {
			arguments->options.trace = true;
		} else if (strcmp(word, "--verbose") == 0) {
			arguments->options.verbose = true;
		} else if (strcmp(word, "--until") == 0 &&
			   str_to_u64(str_of(value), &arguments->options.until) == OK) {
			i++;
		} else if (strcmp(word, "--seed") == 0 &&
			   str_to_u64(str_of(value), &arguments->first) == OK) {
			arguments->last = arguments->first;
			i++;
		} else if (strcmp(word, "--seeds") == 0 && parse_seeds(value, arguments)) {
			i++;
		} else {
			return false;
		}
	}
	return arguments->first > 0 && arguments->first <= arguments->last;
}

static int run(const struct arguments *arguments) {
	struct sim_table table = { 0 }, again = { 0 };
	time_t start = time(NULL);
	for (uint64_t seed = arguments->first; seed <= arguments->last; seed++) {
		uint64_t hash = sim_run(seed, &arguments->options, &table);
		if (arguments->twice && sim_run(seed, &arguments->options, &again) != hash) {
			fprintf(stderr,
				"FAILED seed %llu: its two histories differ; compare two runs of: "
				"sim --seed %llu --trace\n",
				(unsigned long long)seed, (unsigned long long)seed);
			return 1;
		}
		if ((seed - arguments->first + 1) % 20 == 0) {
			printf("seed %llu done, %lld s\n", (unsigned long long)seed,
				(long long)(time(NULL) - start));
			fflush(stdout);
		}
	}
	unsigned gaps = arguments->check_table ? sim_table_gaps(&table, stderr) : 0;
	if (arguments->table || gaps) sim_table_print(&table, stdout);
	unsigned long long count = arguments->last - arguments->first + 1;
	if (gaps) {
		fprintf(stderr, "FAILED: %u cells of the table are empty after %llu seeds\n", gaps,
			count);
		return 1;
	}
	printf("ok: %llu seeds%s in %lld s\n", count, arguments->twice ? ", each twice," : "",
		(long long)(time(NULL) - start));
	return 0;
}

int main(int argc, char **argv) {
	struct arguments arguments = { 0 };
	if (!parse(argc, argv, &arguments)) {
		fputs(USAGE, stderr);
		return 2;
	}
	rcu_thread_register();
	int result = run(&arguments);
	rcu_thread_unregister();
	metric_destroy_all();
	return result;
}
