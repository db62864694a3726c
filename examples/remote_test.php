<?php

/**
 * Finds a node, runs hello.wasm on it and verifies the receipt: the demo guide's Step 2.
 *
 * usage: php remote_test.php [--timings] [HOST|MULTIADDR...]; exit code 0, or 1 when anything failed.
 */

declare(strict_types=1);

use PhaseBased\Plasm\Client;
use PhaseBased\Plasm\Crypto;
use PhaseBased\Plasm\Discovery;
use PhaseBased\Plasm\Exception\PlasmException;
use PhaseBased\Plasm\Exception\UntrustedException;
use PhaseBased\Plasm\Job;
use PhaseBased\Plasm\Node;
use PhaseBased\Plasm\Result;

require __DIR__ . '/support.php';

const MODULE = __DIR__ . '/../wasm-examples/hello/target/wasm32-wasip1/release/hello.wasm';
/** What hello.wasm writes when it is given no input. */
const EXPECTED_OUTPUT = 'dlroW ,olleH';

function submit_hello(Client $client, Node $node, string $module): ?Job
{
    echo "\nSubmitting job: hello.wasm\n";
    try {
        $job = $client->submit($module, '', ['node' => $node]);
    } catch (PlasmException $exception) {
        // "unreachable" is the network's own word: nothing listens at the node's addresses.
        $reason = $exception->errorName() === 'unreachable' ? 'Connection refused' : $exception->getMessage();
        echo "✗ Submission failed: $reason\n";
        note("Offered to {$node->peerId} at " . implode(', ', $node->addresses) . ': ' . $exception->getMessage());
        note('Next, on the worker: sudo journalctl -u plasmd -n 20');
        return null;
    }
    echo "✓ Job submitted: {$job->id}\n";
    return $job;
}

function wait_for(Job $job): ?Result
{
    echo "\nWaiting for execution...\n";
    try {
        $result = $job->wait();
    } catch (UntrustedException $exception) {
        // An answer that cannot be trusted is not shown.
        echo "\nReceipt Verification:\n✗ Signature verification failed\n";
        note($exception->getMessage());
        note('The node is not to be trusted with this job. Next: php ' . $_SERVER['argv'][0] . ' <another-worker-ip>');
        return null;
    } catch (PlasmException $exception) {
        echo "✗ Execution failed: {$exception->getMessage()}\n";
        note('Next, on the worker: sudo journalctl -u plasmd -n 20');
        return null;
    }
    if ($result->status !== 'ok' && $result->status !== 'exit') {
        echo "✗ Execution failed: {$result->status}\n";
        note($result->message);
        return null;
    }
    echo "✓ Execution complete\n";
    return $result;
}

function show_result(Result $result): bool
{
    echo "\nResult:\n";
    echo '  Output: ' . rtrim($result->output, "\n") . "\n";
    echo "  Exit code: {$result->exitCode}\n";
    echo "  Wall time: {$result->wallTimeMs}ms\n";
    if ($result->exitCode !== 0 || $result->output !== EXPECTED_OUTPUT) {
        note('hello.wasm writes "' . EXPECTED_OUTPUT . '" and exits with 0: the node did not run it.');
        return false;
    }
    return true;
}

/**
 * The client has verified the receipt already; here are the steps of it, one by one.
 */
function verify_receipt(Result $result, Job $job, Node $node, string $module): bool
{
    echo "\nReceipt Verification:\n";
    $receipt = $result->receipt;
    if (!(new Crypto())->verify($receipt->fields, $receipt->signature, $node->peerId)) {
        echo "✗ Signature verification failed\n";
        return false;
    }
    echo "✓ Signature valid\n";
    if ($receipt->fields['module_hash'] !== Crypto::sha256($module)) {
        echo "✗ Module hash does not match\n";
        return false;
    }
    echo "✓ Module hash matches\n";
    $refusal = $receipt->refusal($node->peerId, [
        'job_id' => $job->id,
        'module_hash' => Crypto::sha256($module),
        'input_hash' => Crypto::sha256(''),
        'stdout_hash' => Crypto::sha256($result->output),
        'stderr_hash' => Crypto::sha256($result->stderr),
    ]);
    if ($refusal !== null) {
        echo "✗ Receipt refused: $refusal\n";
        return false;
    }
    echo "✓ Receipt verified\n";
    return true;
}

function show_timings(Discovery $discovery, Result $result, int $totalNs): void
{
    $rows = [
        'Discovery' => $discovery->elapsedUs,
        'Job Submission' => $result->timings->submitUs,
        'Execution (WASM)' => $result->timings->executeUs,
        'Result Return' => $result->timings->returnUs,
        'Total' => intdiv($totalNs, 1000),
    ];
    echo "\nTimings:\n";
    foreach ($rows as $name => $us) {
        printf("  %s: %.1fms\n", $name, $us / 1000);
    }
}

/**
 * @param list<string> $arguments
 */
function main(array $arguments): int
{
    [$nodes, $flags] = parse_command_line($arguments, ['--timings' => 'show where the time went']);
    echo "Phase Remote Execution Test\n===========================\n\n";
    $startNs = hrtime(true);
    $found = find_workers($nodes, ['max' => 1, 'settle_ms' => 0]);
    if ($found === null) {
        return 1;
    }
    [$client, $discovery] = $found;
    $node = $discovery->nodes[0];
    show_node($node);

    $module = is_file(MODULE) ? file_get_contents(MODULE) : false;
    if ($module === false) {
        echo "\nSubmitting job: hello.wasm\n✗ Submission failed: hello.wasm cannot be read\n";
        note('Next: wasm-examples/hello/build.sh makes ' . MODULE);
        return 1;
    }
    $job = submit_hello($client, $node, $module);
    $result = $job === null ? null : wait_for($job);
    if ($result === null || !show_result($result) || !verify_receipt($result, $job, $node, $module)) {
        return 1;
    }
    if (in_array('--timings', $flags, true)) {
        show_timings($discovery, $result, hrtime(true) - $startNs);
    }
    echo "\nTest complete!\n";
    return 0;
}

exit(main($argv));
