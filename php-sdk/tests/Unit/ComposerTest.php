<?php

declare(strict_types=1);

namespace PhaseBased\Plasm\Tests\Unit;

use PhaseBased\Plasm\Tests\Support\Command;
use PhaseBased\Plasm\Tests\Support\Directory;
use PHPUnit\Framework\TestCase;

/**
 * Installing with Composer, in place and as a path repository of an application elsewhere, without
 * any network.
 */
final class ComposerTest extends TestCase
{
    private const SDK = __DIR__ . '/../..';
    /** The guide's manual check, to the letter but for the require's directory. */
    private const MANUAL_CHECK = <<<'PHP'
        <?php
        require 'vendor/autoload.php';

        use PhaseBased\Plasm\Crypto;

        $crypto = new Crypto();

        // Receipt data from test
        $receipt = [
            'job_id' => '550e8400-e29b-41d4-a716-446655440000',
            'module_hash' => 'sha256:...',
            'exit_code' => 0,
            'wall_time_ms' => 235,
        ];

        $signature = '<base64-signature>';
        $publicKey = '<node-public-key>';

        $valid = $crypto->verify($receipt, $signature, $publicKey);
        echo $valid ? "✓ Valid\n" : "✗ Invalid\n";
        PHP;
    private const APPLICATION = <<<'PHP'
        <?php
        require __DIR__ . '/vendor/autoload.php';

        $result = (new PhaseBased\Plasm\Client(['driver' => 'process']))->run('module', 'abc');
        [$summary, $signature] = $result->summary();
        $valid = (new PhaseBased\Plasm\Crypto())->verify($summary, $signature, $result->receipt->worker());
        echo $result->output, ' ', $valid ? 'valid' : 'invalid', "\n";
        PHP;

    private Directory $directory;

    protected function setUp(): void
    {
        if (Command::run(['sh', '-c', 'command -v composer'])->exitCode !== 0) {
            self::markTestSkipped('composer is not installed');
        }
        $this->directory = new Directory();
    }

    public function testInPlace(): void
    {
        $sdk = "{$this->directory->path}/php-sdk";
        Directory::copy(self::SDK, $sdk, ['vendor', 'build', 'composer.lock']);
        $install = $this->composer($sdk);
        self::assertSame(0, $install->exitCode, $install->errors);
        // The script ran, and says either where libplasm is or how to get it.
        self::assertMatchesRegularExpression(
            '/^plasm: (libplasm is \S+|.*To reach the network: .*composer install.*)$/m',
            $install->errors
        );
        file_put_contents("$sdk/check.php", self::MANUAL_CHECK);
        self::assertSame("✗ Invalid\n", Command::run([PHP_BINARY, 'check.php'], $sdk)->output);
    }

    /**
     * @testWith [true]
     *           [false]
     */
    public function testPathRepository(bool $symlink): void
    {
        $this->directory->write('app/composer.json', json_encode([
            'repositories' => [
                ['type' => 'path', 'url' => realpath(self::SDK), 'options' => ['symlink' => $symlink]],
                ['packagist.org' => false],
            ],
            'require' => ['phasebased/plasm-php' => '*'],
        ], JSON_UNESCAPED_SLASHES));
        $script = $this->directory->write('app/run.php', self::APPLICATION);
        $install = $this->composer(dirname($script));
        self::assertSame(0, $install->exitCode, $install->errors);
        $installed = dirname($script) . '/vendor/phasebased/plasm-php';
        self::assertSame($symlink, is_link($installed));
        self::assertFileExists(dirname($script) . '/vendor/bin/plasm-install-library');
        $run = Command::run([PHP_BINARY, $script], '/', [
            'PLASM_COMMAND' => realpath(self::SDK) . '/tests/Support/fake-plasm',
        ]);
        self::assertSame("cba valid\n", $run->output, $run->errors);
    }

    public function testTheFilesAgree(): void
    {
        $composer = json_decode((string) file_get_contents(self::SDK . '/composer.json'), true);
        $required = array_keys($composer['require']);
        self::assertSame(['php', 'ext-sodium'], $required, 'nothing else is needed');
        $cmake = (string) file_get_contents(self::SDK . '/../CMakeLists.txt');
        self::assertStringContainsString("project(plasm VERSION {$composer['version']} ", $cmake);
        $validation = Command::run(['composer', 'validate', '--no-check-publish', '--no-check-version'], self::SDK, [
            'COMPOSER_HOME' => $this->directory->path,
        ]);
        self::assertSame(0, $validation->exitCode, $validation->errors);
    }

    private function composer(string $directory): Command
    {
        return Command::run(['composer', 'install', '--no-interaction'], $directory, [
            'COMPOSER_HOME' => "{$this->directory->path}/home",
            'COMPOSER_ALLOW_SUPERUSER' => '1',
            'COMPOSER_DISABLE_NETWORK' => '1',
            'PATH' => getenv('PATH'),
        ]);
    }
}
