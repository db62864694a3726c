<?php

declare(strict_types=1);

namespace PhaseBased\Plasm\Driver;

/**
 * Where libplasm and the plasm command are on this system, and how to get them.
 *
 * @internal
 */
final class Locator
{
    private const ABI = '0';
    private const PREFIXES = ['/opt/homebrew', '/usr/local', '/home/linuxbrew/.linuxbrew', '/usr'];

    private readonly string $sdk;

    /**
     * @param list<string> $prefixes where packages are installed
     */
    public function __construct(
        ?string $sdk = null,
        private readonly array $prefixes = self::PREFIXES,
        private readonly string $family = PHP_OS_FAMILY,
    ) {
        $this->sdk = $sdk ?? dirname(__DIR__, 2);
    }

    /** The library that PLASM_LIBRARY names. */
    public function namedLibrary(): ?string
    {
        return self::environment('PLASM_LIBRARY');
    }

    public function library(): ?string
    {
        $named = $this->namedLibrary();
        if ($named !== null) {
            return $named;
        }
        $names = $this->family === 'Darwin'
            ? ['libplasm.dylib', 'libplasm.' . self::ABI . '.dylib']
            : ['libplasm.so', 'libplasm.so.' . self::ABI];
        foreach ([...$this->buildDirectories(), ...$this->prefixes] as $prefix) {
            foreach (['lib', ...$this->multiarch($prefix), 'lib64'] as $directory) {
                foreach ($names as $name) {
                    if (is_file("$prefix/$directory/$name")) {
                        return "$prefix/$directory/$name";
                    }
                }
            }
        }
        return null;
    }

    public function command(): ?string
    {
        $named = self::environment('PLASM_COMMAND');
        if ($named !== null) {
            return $named;
        }
        $directories = array_map(static fn (string $prefix): string => "$prefix/bin", $this->buildDirectories());
        $directories = [...$directories, ...explode(PATH_SEPARATOR, (string) getenv('PATH'))];
        foreach ($this->prefixes as $prefix) {
            $directories[] = "$prefix/bin";
        }
        foreach ($directories as $directory) {
            if ($directory !== '' && is_file("$directory/plasm") && is_executable("$directory/plasm")) {
                return "$directory/plasm";
            }
        }
        return null;
    }

    /** The project's checkout that this SDK is part of, if it is. */
    public function checkout(): ?string
    {
        $root = dirname($this->sdk);
        return is_file("$root/lib/include/plasm.h") && is_file("$root/CMakeLists.txt") ? $root : null;
    }

    /** Where the SDK's own build of the client goes. */
    public function ownBuild(): string
    {
        return $this->sdk . '/build';
    }

    /** One sentence with the one command that brings what is missing. */
    public function advice(): string
    {
        return 'To get both: ' . $this->installCommand();
    }

    public function installCommand(): string
    {
        $checkout = $this->checkout();
        $get = $checkout === null ? 'git clone https://github.com/phasebased/phase.git && cd phase' : "cd $checkout";
        $build = 'composer install --working-dir=php-sdk';
        $steps = match (true) {
            $this->family === 'Darwin' => ['tools/build-macos'],
            is_executable('/usr/bin/apt-get') => ['tools/install-deps build', $build],
            default => [$build],
        };
        return implode(' && ', [$get, ...$steps]);
    }

    /**
     * @return list<string>
     */
    private function buildDirectories(): array
    {
        $checkout = $this->checkout();
        return [...($checkout === null ? [] : ["$checkout/build"]), $this->ownBuild()];
    }

    /**
     * Debian's directories by architecture, such as lib/x86_64-linux-gnu.
     *
     * @return list<string>
     */
    private function multiarch(string $prefix): array
    {
        $machine = php_uname('m');
        $found = glob("$prefix/lib/$machine-linux-*", GLOB_ONLYDIR) ?: [];
        return array_map(static fn (string $path): string => substr($path, strlen($prefix) + 1), $found);
    }

    private static function environment(string $name): ?string
    {
        $value = getenv($name);
        return $value === false || $value === '' ? null : $value;
    }
}
