# workers/class_pace.c: who waits for the pace of his class is not put back in line
# first: 3
s/for (struct object \*object; (object = next_held(pace));)/for (struct object *object; 0 \&\& (object = next_held(pace));)/
