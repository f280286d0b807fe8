# clients/kube.c: a status is written to whatever has the name now
# first: 18
/^static enum err status_patch/,/^}/s#/metadata/uid#/apiVersion#
/^static enum err status_patch/,/^}/s/buf_append_json(&call->_body, uid);/(void)uid, buf_append_json(\&call->_body, STR(KUBE_SYNC_API));/
