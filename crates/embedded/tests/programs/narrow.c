/* A program of 32-bit x86 that tries calls and says what came of each: made by a test with `cc -m32 -nostdlib -static`. */
static int call(int number, int a, int b, int c)
{
    int result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory");
    return result;
}

static int length(const char *text)
{
    int count = 0;
    while (text[count])
        count++;
    return count;
}

static void say(const char *name, int result)
{
    char line[64];
    int at = length(name), digits = 1, value = result < 0 ? -result : result;
    for (int i = 0; i < at; i++)
        line[i] = name[i];
    line[at++] = ' ';
    if (result < 0)
        line[at++] = '-';
    for (int rest = value; rest >= 10; rest /= 10)
        digits++;
    for (int i = digits; i-- > 0; value /= 10)
        line[at + i] = (char)('0' + value % 10);
    at += digits;
    line[at++] = '\n';
    call(4, 1, (int)line, at);
}

static int socketcall(int which, int family, int kind, int protocol, int *pair)
{
    int arguments[4] = {family, kind, protocol, (int)pair};
    return call(102, which, (int)arguments, 0);
}

void _start(void)
{
    int pair[2] = {-1, -1};
    char byte = 'x';
    int file = call(5, (int)"/made", 0101, 0644);
    say("open", file >= 0);
    say("fsync of nothing", call(118, 999, 0, 0));
    say("fchown32", call(207, file, 33, 44));
    say("chown16", call(182, (int)"/short", 5, 6));
    say("chown16 unchanged", call(182, (int)"/short", 0xffff, 7));
    say("inet", socketcall(1, 2, 1 | 02000000, 0, 0) > 2);
    say("unix", socketcall(1, 1, 1, 0, 0) > 2);
    say("vsock", socketcall(1, 40, 1, 0, 0));
    say("packet", socketcall(1, 17, 3, 0, 0));
    say("alg", socketcall(1, 38, 5, 0, 0));
    say("direct vsock", call(359, 40, 1, 0));
    say("nowhere", call(102, 1, 16, 0));
    say("pair", socketcall(8, 1, 1, 0, pair));
    say("pair writes", call(4, pair[0], (int)&byte, 1));
    say("pair reads", call(3, pair[1], (int)&byte, 1));
    say("pair of vsock", socketcall(8, 40, 1, 0, pair));
    say("mount", call(21, (int)"none", (int)"/tmp", (int)"tmpfs"));
    say("unshare", call(310, 0x10000000, 0, 0));
    say("keyctl", call(288, 0, 0, 0));
    say("future", call(9999, 0, 0, 0));
    call(1, 0, 0, 0);
}
