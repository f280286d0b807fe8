/* engine/plan_impl.h - what the files of a plan share; nobody else includes it. */
#pragma once

#include "engine/plan.h"

/* --- plan.c --- */

/* Ends a target without a reconcile. Takes the text's copy; ERR_NOMEM. */
enum err plan_settle(
	struct plan *plan, struct plan_target *target, enum plan_action action, struct str message);
struct plan_target *plan_find(const struct plan *plan, struct str ns, struct str name);
/* A new one; ERR_NOMEM. */
enum err plan_add_target(struct plan *plan, struct str ns, struct str name,
	const struct check_object *from, struct plan_target **out_target);
struct plan_class *plan_find_class(const struct plan *plan, struct str ns, struct str name);
enum err plan_add_class(
	struct plan *plan, struct str ns, struct str name, struct plan_class **out_class);

/* --- plan_live.c: what the cluster has of them --- */

/* Fills in every target and class; adds the SecretSyncs of the cluster that use a class of the files. */
enum err plan_read_cluster(struct plan *plan, struct fault *fault);
/* Sends a request before the reconciles begin, and waits for its end. */
void plan_exchange(struct plan *plan, struct http_req *req);
/* Its controller is that AKVSync. */
bool plan_belongs_to(const cJSON *live, struct str akv_sync);
/* Keeps what the store and the rows need of a SecretSync. live NULL: it is not in the cluster. */
enum err plan_take_sync(struct plan *plan, struct plan_target *target, const cJSON *live);

/* --- plan_compose.c --- */

/* An object as it would be. live NULL: it is not in the cluster. ERR_NOMEM. */
enum err plan_compose(const struct check_object *from, enum kube_resource resource,
	const cJSON *live, cJSON **out_json);

/* --- plan_users.c --- */

/* Adds the SecretSyncs of the cluster that use a class of the files, or do not follow from an AKVSync any more. */
enum err plan_read_users(struct plan *plan, struct fault *fault);

/* --- plan_run.c: the reconciles --- */

enum err plan_open_pool(struct plan *plan);
/* One attempt of every target that is not settled. */
enum err plan_run(struct plan *plan);
void plan_close_pool(struct plan *plan);

/* --- plan_diff.c: what a reconcile that has ended comes to --- */

/* err: how the reconcile ended. The record's texts are given back. ERR_NOMEM, ERR_PARSE. */
enum err plan_conclude(struct plan *plan, struct plan_target *target, enum err err);
